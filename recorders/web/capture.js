"use strict";
// The recorder's own page: captures another tab of this browser with its sound. What becomes of its pictures and its sound
// is a worker's (capture_worker.js), which is given them without this page's doing.

const worker = new Worker(`${location.pathname}/worker`);
const give = (type, rest = {}, transferred = []) => worker.postMessage({ type, ...rest }, transferred);
const fail = (error) => give("error", { message: String(error?.message ?? error) });
worker.onerror = fail;
give("link", { address: `ws://${location.host}${location.pathname}/socket` });

// Blocks of sound, 10 ms each, that are not lost while a busy machine holds the worker up.
const AUDIO_WAITING = 300;
let stream; // while it is captured

/** What a track gives, for one reader; one picture waits for it, or so many blocks of sound. */
const processed = (track, maxBufferSize) => new MediaStreamTrackProcessor({ track, maxBufferSize }).readable;

// Whoever begins to read a track is given a picture of what there is now, and so is everybody else.
worker.onmessage = () => processed(stream.getVideoTracks()[0]).cancel();

/** Called once by the recorder, with what `recorder.py` calls options. */
async function start(options) {
  try {
    give("options", { options });
    const controller = new CaptureController();
    controller.setFocusBehavior("no-focus-change");
    stream = await navigator.mediaDevices.getDisplayMedia({
      controller,
      video: { width: options.width, height: options.height, frameRate: options.frameRate },
      audio: {
        echoCancellation: false,
        noiseSuppression: false,
        autoGainControl: false,
        suppressLocalAudioPlayback: true,
        channelCount: 2,
        sampleRate: options.sampleRate,
      },
      systemAudio: "exclude",
      surfaceSwitching: "exclude",
    });
    for (const track of stream.getTracks()) track.onended = () => give("ended");
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    const streams = {
      green: options.configs.length ? processed(video) : null,
      pictures: options.configs.length ? processed(video) : null,
      sound: audio ? processed(audio, AUDIO_WAITING) : null,
    };
    give("streams", streams, Object.values(streams).filter(Boolean));
  } catch (error) {
    fail(error);
  }
}
