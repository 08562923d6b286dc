"""The recording service: REST, task manager, leases and store on Ray; the recorders themselves are in `recorders`."""
