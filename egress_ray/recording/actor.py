"""The Ray actor of one attempt at a recording. It holds a lease, and stops by itself when it loses it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import ray

from egress_ray.folders import here, make_private
from egress_ray.recording.job import Job, Outcome, Publication, Renewal
from egress_ray.recording.renewal import keep
from recorders.disk import free_mb, need
from recorders.errors import Fenced, NotNow, RecorderError, Unreachable
from recorders.lease import Lease
from recorders.log.window import Window
from recorders.progress import Progress
from recorders.recorder import Recorder, build
from recorders.sources.base import Ingest
from recorders.spec import ChannelSpec

if TYPE_CHECKING:
    from egress_ray.recording.idle import Idle
    from recorders.config import WebConfig
    from recorders.log.finish import Finished
    from recorders.storage.place import Place
    from recorders.storage.uploader import Uploader

log = logging.getLogger("egress_ray.recording")
# How long a new attempt waits to learn what other nodes have recorded.
_ADOPT_S = 3.0
# How long the file that is being uploaded may take to be so, until the spool is let go.
_LET_GO_S = 60.0
# How long it may take to come to the moment of a handover, and to upload what is left then.
_PASSES_S = 20.0
_DRAIN_S = 300.0
# How long a publisher waits for a recording that is about to begin.
_BEGIN_S = 3.0


class Recording:
    """One attempt; used once. `label` is what people read in the dashboard: task, kind, channel or host.

    One of a `page` starts what its browser needs before it is told which. It may be kept idle before, with a browser
    open (`Idle`).
    """

    def __init__(self, label: str, namespace: str, page: bool = False) -> None:
        self._label = label
        self._namespace = namespace
        self._recorder: Recorder | None = None
        self._built = asyncio.Event()
        self._window = Window()
        self._job: Job | None = None
        self._lease = Lease()
        self._uploader: Uploader | None = None
        self._stopping = False
        self._handed_over = False
        self._closed = asyncio.Event()
        self._outcome: asyncio.Future[Outcome] = asyncio.get_event_loop().create_future()
        self._idle: Idle | None = None
        if page:
            asyncio.get_event_loop().call_soon_threadsafe(_begin_driver)

    def __repr__(self) -> str:
        return f"Recording({self._label})"

    async def open(self, config: WebConfig) -> None:
        """Open a browser for a recording to come. Raises `RecorderError` or TimeoutError."""
        from egress_ray.recording.idle import Idle

        self._idle = Idle()
        await self._idle.open(config)

    async def still(self, for_s: float) -> bool:
        """See `Idle`."""
        return self._idle is not None and await self._idle.still(for_s)

    async def take(self, recording: str, label: str, resources: dict[str, float]) -> bool:
        """See `Idle`."""
        taken = self._idle is not None and await self._idle.take(recording, resources)
        if taken:
            self._label = label
        return taken

    async def taken_by(self) -> str:
        """The name of the recording that it was taken for; empty while it is idle."""
        return self._idle.recording if self._idle is not None else ""

    async def dismiss(self) -> None:
        """End the browser that it has kept open."""
        if self._idle is not None:
            await self._idle.close()

    async def run(self, job: Job) -> Outcome:
        """Record until stopped or ended, tell the outcome. Does not raise. The files are still to be finished."""
        if self._job is not None:
            return await self.wait()
        self._job = job
        self._window = Window(standby=job.spec.standby)
        lease = asyncio.create_task(keep(self._lease, job.renew_s, job.expiry_s, self._namespace, self._sign))
        try:
            outcome = await self._record(job)
        except Exception as error:  # a defect of ours: the task must still end, with what was recorded
            log.exception("The recorder failed")
            outcome = self._broken(job, RecorderError(f"The recorder failed: {error!r}."))
        finally:
            lease.cancel()
            self._closed.set()
        self._outcome.set_result(outcome)
        return outcome

    async def _record(self, job: Job) -> Outcome:
        try:
            data = here(job.order.data_dir)
            with contextlib.suppress(OSError):  # who is to write there will tell
                make_private(data)
                make_private(data / "recordings")
            if job.spec.attempt == 1:
                need(job.order.folder, job.room_mb)
            if job.order.place is not None:
                await self._take_up_spool(job.order.place, job)
            spec = replace(job.spec, folder=str(job.order.folder))
            station = await self._idle.station() if self._idle is not None else None
            self._recorder = recorder = build(spec, job.config, self._lease, self._window, station)
            self._built.set()
            if self._stopping:
                recorder.stop()
            reason = await recorder.run()
        except Fenced as error:
            return Outcome("fenced", error=str(error))
        except RecorderError as error:
            return self._broken(job, error)
        return Outcome("closed", reason=reason, message=recorder.progress().message)

    async def _take_up_spool(self, place: Place, job: Job) -> None:
        """What is recorded goes to its place from now on. A log that other nodes have begun is gone on with, if the
        store gives it now: if not, both are put together in the end."""
        from recorders.storage.spool import Spool
        from recorders.storage.uploader import Uploader

        spool = Spool(job.order.folder, place)
        if job.spec.attempt > 1:
            too_late = threading.Event()

            def adopt() -> None:
                with spool.held(_ADOPT_S):
                    spool.adopt(unless=too_late.is_set)

            try:
                await asyncio.wait_for(asyncio.to_thread(adopt), _ADOPT_S)
            except (RecorderError, TimeoutError) as error:
                too_late.set()
                log.warning("What other nodes have recorded is not known yet: %s", error)
        self._uploader = Uploader(spool, lambda: not self._handed_over and self._lease.left > 0)

    def _broken(self, job: Job, error: RecorderError) -> Outcome:
        """Whether another attempt could mend it."""
        mistake = isinstance(error, Unreachable) and job.spec.attempt == 1
        retryable = error.retryable and not mistake and not self._stopping
        message = self._recorder.progress().message if self._recorder is not None else ""
        return Outcome("broken", error=str(error), retryable=retryable, message=message)

    async def finish(self) -> Finished:
        """Finish the files once the recording has ended. Raises `RecorderError`; may be called again then."""
        from egress_ray.recording.finishing import finish_here  # not while the recording starts: it takes a while

        await self.wait()
        assert self._job is not None
        if self._uploader is not None:
            await asyncio.to_thread(self._uploader.stop, _LET_GO_S)
        return await asyncio.to_thread(finish_here, self._job.order)

    async def wait(self) -> Outcome:
        """The outcome, whoever asks and however often."""
        return await asyncio.shield(self._outcome)

    async def stop(self) -> None:
        """Close the recording; returns when its last part is in the log."""
        self._stopping = True
        if self._recorder is not None:
            self._recorder.stop()
        await self._closed.wait()

    async def movable(self) -> bool:
        """Whether another recorder elsewhere could take over.

        Where publishers push to this one, none can. Where pictures are passed through, keyframes come when publishers
        send them: there is no moment to agree on.
        """
        subject = self._job.spec.subject if self._job is not None else None
        individual = isinstance(subject, ChannelSpec) and subject.mode == "individual"
        return self._ingest() is None and not individual

    async def take_over(self, not_before: float) -> float | None:
        """Write from the first keyframe at or after then on (Unix seconds): when that is, in media seconds. None while
        there is no picture yet."""
        epoch = (await self.progress()).began_at
        return None if epoch is None else self._window.open_at(not_before - epoch)

    async def hand_over(self, at: float) -> None:
        """Write up to this moment (media seconds) and end; returns when all of that is in the log, and in its place."""
        self._handed_over = True
        self._window.close_at(at)
        passed = asyncio.create_task(asyncio.to_thread(self._window.passed.wait, _PASSES_S))
        closed = asyncio.create_task(self._closed.wait())
        await asyncio.wait({passed, closed}, return_when=asyncio.FIRST_COMPLETED)
        await self.stop()
        if self._uploader is not None:
            await asyncio.to_thread(self._uploader.drain, _DRAIN_S)
            await asyncio.to_thread(self._uploader.stop, _LET_GO_S)

    async def node_id(self) -> str:
        """Ray's id of the node it runs on."""
        return str(ray.get_runtime_context().get_node_id())

    async def progress(self) -> Progress:
        """Where it is."""
        return self._recorder.progress() if self._recorder is not None else Progress()

    async def publish(self, user: str, token: str | None, offer: str) -> Publication:
        """Take a WHIP publisher's SDP offer; no `token` for one who has been let in at the door."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._built.wait(), _BEGIN_S)
        source = self._ingest()
        if source is None and self._recorder is None:
            return Publication("busy", error="The recording has not begun yet.")
        if source is None:
            return Publication("refused", error="This channel is not recorded by the embedded back end.")
        if not self._lets_in(token):
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        try:
            published = await source.publish(user, offer)
        except NotNow as error:
            return Publication("busy", error=str(error))
        except RecorderError as error:
            return Publication("refused", error=str(error))
        return Publication("created", published.resource, published.answer, etag=published.etag)

    async def patch(self, resource: str, token: str | None, fragment: str, if_match: str) -> Publication:
        """Take a WHIP publisher's further ICE candidates, or its ICE restart."""
        source = self._ingest()
        if source is None or not self._lets_in(token):
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        try:
            patched = await source.patch(resource, fragment, if_match)
        except RecorderError as error:
            return Publication("refused", error=str(error))
        return Publication(patched.outcome, resource, patched.fragment, etag=patched.etag)

    async def unpublish(self, resource: str, token: str | None) -> Publication:
        """End a publisher's session."""
        source = self._ingest()
        if source is None or not self._lets_in(token):
            return Publication("forbidden", error="The bearer token is not this recording's access token.")
        ended = await source.unpublish(resource)
        return Publication("deleted" if ended else "unknown", error="" if ended else "There is no such publisher.")

    def _ingest(self) -> Ingest | None:
        source = getattr(self._recorder, "source", None)
        return source if isinstance(source, Ingest) else None

    def _lets_in(self, token: str | None) -> bool:
        if token is None:
            return True
        subject = self._job.spec.subject if self._job is not None else None
        return isinstance(subject, ChannelSpec) and hmac.compare_digest(token.encode(), subject.access_token.encode())

    async def _sign(self) -> Renewal:
        assert self._job is not None
        spec, order = self._job.spec, self._job.order
        backlog = self._uploader.backlog if self._uploader is not None else 0
        progress = await self.progress()
        return Renewal(order.app_id, spec.task_id, spec.attempt, progress, free_mb(order.folder), backlog)


def _begin_driver() -> None:
    from recorders.web import driver

    driver.begin()
