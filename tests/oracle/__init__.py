"""The oracle for media: participants that can be told apart by eye and ear, and an analyser that does.

`clips` and `page` make the input, `analyse` reads the output, `hls` validates playlists.
"""
