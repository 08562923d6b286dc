"use strict";
// What is captured of a tab (capture.js): puts its pictures on a steady clock and gives everything to the recorder. What
// the messages to it are: link.py. All times here are milliseconds of performance.now().

const VIDEO = 1;
const AUDIO = 2;
const PINGS = 12;
// How long to wait for a picture of the blank tab.
const MEASURE_MS = 2000;
// At most so much sound goes in one message.
const AUDIO_BATCH_MS = 200;
const EARLY_BLOCKS = 20;
const TICK_MS = 100;
const STATUS_MS = 1000;
// A slot that has no picture this long after its time repeats the last one. Capture takes 5 to 30 ms.
const HOLD_MS = 120;
// So many pictures in a row may be a slot late; of a screen's 60, as 50 a second are taken, it is three.
const PUSHED_LIMIT = 4;
// How long to wait for a captured picture of a page that has loaded: of its last paint, or of any.
const LAST_PAINT_MS = 80;
const ANY_PAINT_MS = 1000;
// Chromium stamps a picture when it draws it, and sound with when it is heard. What is drawn is seen a sixtieth of a
// second later; by that time a video chooses its picture, on average this long before its sound.
const SEEN_AFTER_MS = 12;
// Of a page's 60 paints a second it takes as many as are asked for: what is new is in the first of them or in one after.
const PAINTED_EVERY_MS = 1000 / 60;
// Where these do not divide evenly, those after the first one come earlier than it by this part of their period, on average.
const UNEVEN = 0.27;
// Where every other one is taken, a busy machine takes the others for a while, half a period aside, and draws some of them
// late. All come later than a slot's middle by this part of their period: neither is then on the edge between two slots.
const EVERY_OTHER = 0.2;
// A picture this old at most shows that the page moves.
const MOVING_MS = 100;
// A page that shows nothing new for so long is asked whether there is nothing new. The answer may make Chromium leave out
// what comes next if that is soon: this is how long the pictures are apart of few pages that move.
const STILL_MS = 120;
// Sound whose timestamps jump by more than this is a gap, not jitter of the timestamps.
const AUDIO_JITTER_MS = 5;
// What is where in the file that the recorder has open as well (shared_file.py): how many of its pictures the recorder is
// done with, how many bytes of mail there have been and how many have been taken, and the mail; then come pictures.
const PICTURES_TAKEN_AT = 64;
const MAIL_PUT_AT = 128;
const MAIL_TAKEN_AT = 192;
const MAIL_AT = 4096;
// Sound waits in Chromium for so long once all of it has been taken, to be taken together: each wake costs.
const AUDIO_REST_MS = 90;
// A block that comes at most this much later than the quickest is the newest. How quick that is, is found out anew every
// so often, by all that come for a while being taken as they come: what is left waiting would seem to come ever later.
const AUDIO_NEWEST_MS = 15;
const AUDIO_LEARN_EVERY_MS = 10_000;
const AUDIO_LEARN_MS = 100;
// Brightness by which pixels of one colour may differ.
const EVEN = 2;
// How many rows of a picture are looked at together.
const STRIP_ROWS = 32;
// More than this unsent means that the recorder does not read any more.
const UNSENT_LIMIT = 64 * 1024 * 1024;

/** By the type of their messages, the page's and then the recorder's. */
const handlers = {};
const connected = new Promise((resolve) => (handlers.open = resolve));
let socket;
let mail = null; // a `Mail`, unless there can be none

onmessage = ({ data }) => handlers[data.type]?.(data);
handlers.link = ({ address }) => {
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = handlers.open;
  socket.onmessage = ({ data }) => onmessage({ data: JSON.parse(data) });
};
handlers.error = async ({ message }) => {
  await connected;
  fail(message);
};

/** Nothing happens before the recorder is connected. */
const tell = (type, rest = {}) => socket.send(JSON.stringify({ type, ...rest }));
const fail = (error) => tell("error", { message: String(error && error.message || error) });

// Media waits to be sent together.
const outbox = [];
let unsent = 0; // bytes of it

/** A record of pictures or sound, next. */
function post(record) {
  outbox.push(record);
  unsent += 4 + record.byteLength;
}

/** As much of it as there is room for: each record with its length before it. */
function sendOutbox() {
  const room = mail ? mail.room() : Infinity;
  let size = 0;
  let count = 0;
  for (const { byteLength } of outbox) {
    if (size + 4 + byteLength > room) break;
    size += 4 + byteLength;
    count++;
  }
  if (unsent - size + (mail ? 0 : socket.bufferedAmount) > UNSENT_LIMIT) {
    fail("The recorder does not take the browser's pictures any more");
    socket.close();
  }
  if (!count) return;
  const message = new Uint8Array(size);
  const lengths = new DataView(message.buffer);
  let at = 0;
  for (const record of outbox.splice(0, count)) {
    lengths.setUint32(at, record.byteLength, true);
    message.set(new Uint8Array(record), at + 4);
    at += 4 + record.byteLength;
  }
  unsent -= size;
  if (mail) mail.put(message);
  else socket.send(message);
}

/** The recorder's monotonic clock minus performance.now(), by the quickest of a few round trips. */
async function monotonicOffset() {
  let best = { trip: Infinity, offset: 0 };
  for (let i = 0; i < PINGS; i++) {
    const sent = performance.now();
    const pong = new Promise((resolve) => (handlers.pong = resolve));
    tell("ping");
    const { monotonic } = await pong;
    const now = performance.now();
    if (now - sent < best.trip) best = { trip: now - sent, offset: monotonic - (sent + now) / 2 };
  }
  return best.offset;
}

/**
 * Maps a track's timestamps (microseconds) to performance.now(). Chromium stamps pictures with the machine's
 * monotonic clock and sound with this worker's; on any other clock, the quickest arrival so far counts.
 */
class CaptureClock {
  constructor(offset) {
    this.candidates = [0, offset];
    this.offset = undefined;
    this.known = false;
  }

  map(timestamp) {
    const stamp = timestamp / 1000;
    const now = performance.now();
    if (this.offset === undefined) {
      const fit = this.candidates.find((offset) => Math.abs(now - (stamp - offset)) < 1000);
      this.known = fit !== undefined;
      this.offset = this.known ? fit : stamp - now;
    }
    if (!this.known) this.offset = Math.max(this.offset, stamp - now);
    return stamp - this.offset;
  }
}

/**
 * Puts pictures into slots of equal length: slot n begins at origin + n * period. A picture goes to the nearest
 * slot, or to the next if that one is taken. When this goes on, a picture is left out: two at once must not make all
 * that follow late. A slot without a picture repeats the last one.
 */
class Slots {
  constructor(frameRate, emit) {
    this.period = 1000 / frameRate;
    this.emit = emit; // (picture, n, repeated)
    this.origin = undefined;
    this.next = 0; // the first slot not emitted yet
    this.last = null; // the picture of the slot before it
    this.waiting = null; // a picture that has a slot but could still lose it
    this.slot = 0;
    this.pushed = 0; // how many in a row, with the one that waits, have the slot after their own
    this.counters = { frames: 0, frames_repeated: 0, frames_dropped: 0, frames_late: 0 };
  }

  begin(origin) {
    this.origin = origin;
    this.slot = 0;
  }

  add(picture, time) {
    const pushed = this.pushed;
    this.pushed = 0;
    if (this.origin === undefined || !this.waiting) {
      this.waiting?.close();
      this.waiting = picture;
      this.slot = this.origin === undefined ? 0 : Math.max(this.next, this.nearest(time));
      return;
    }
    let slot = this.nearest(time);
    if (slot < this.next) {
      this.counters.frames_late++;
      slot = this.next;
    }
    if (slot <= this.slot) {
      const phase = (time - this.origin) / this.period;
      if (this.slot > this.next) this.slot--; // the slot before is free: both are shown
      else if (phase >= this.slot && slot === this.slot && pushed < PUSHED_LIMIT) {
        this.pushed = pushed + 1; // a little late rather than not at all
        slot++;
      } else {
        this.counters.frames_dropped++;
        this.waiting.close();
        this.waiting = picture;
        return;
      }
    }
    this.flush();
    this.waiting = picture;
    this.slot = Math.max(slot, this.next);
  }

  /** Fill every slot that began before `time`. */
  fill(time) {
    const end = Math.floor((time - this.origin) / this.period) + 1;
    if (this.waiting && this.slot < end) this.flush();
    if (this.last) this.repeat(this.waiting ? Math.min(end, this.slot) : end);
  }

  nearest(time) {
    return Math.round((time - this.origin) / this.period);
  }

  flush() {
    if (this.last) this.repeat(this.slot);
    else this.slot = this.next;
    this.last?.close();
    this.last = this.waiting;
    this.waiting = null;
    this.put(false);
  }

  repeat(end) {
    while (this.next < end) this.put(true);
  }

  put(repeated) {
    this.counters.frames++;
    if (repeated) this.counters.frames_repeated++;
    this.emit(this.last, this.next++, repeated);
  }
}

/**
 * Encoded pictures to the recorder: u8 VIDEO, u8 key, u16 0, u32 slot, data (little endian).
 *
 * Every `keyEvery` slots a group of pictures begins with a key. While nothing moves, a group that showed one picture
 * all through is sent again instead of encoded again; the picture that ends this is a key, for the encoder does not
 * know what was shown last.
 */
class Pictures {
  constructor(config, frameRate, keyEvery) {
    this.frameRate = frameRate;
    this.keyEvery = keyEvery;
    this.lost = 0;
    this.group = { first: 0, messages: [] }; // what was encoded for the present group
    this.still = false; // one picture all through the group so far
    this.replay = null; // the group that is being sent again
    this.encoder = new VideoEncoder({ output: (chunk, meta) => this.send(chunk, meta), error: fail });
    this.encoder.configure(config);
  }

  put(picture, n, repeated) {
    const begins = n % this.keyEvery === 0;
    const ends = Boolean(this.replay) && !repeated;
    if (ends) this.replay = null;
    if (begins) {
      if (this.still && repeated) this.replay ??= this.begin();
      else this.group = { first: n, messages: [] };
    }
    this.still = begins || (this.still && repeated);
    if (!this.replay) this.encode(picture, n, begins || ends);
    else if (this.replay.due) this.replay.due.push(n);
    else this.again(this.replay, n);
  }

  /** Send the present group again, once all of it has been encoded. */
  begin() {
    const replay = { messages: this.group.messages, due: [] };
    const encoded = () => {
      for (const n of replay.due) this.again(replay, n);
      replay.due = null;
    };
    this.encoder.flush().then(encoded).catch(fail);
    return replay;
  }

  again({ messages }, n) {
    const message = messages[n % this.keyEvery];
    if (message) this.post(message, n);
    else this.lost++;
  }

  encode(picture, n, key) {
    if (!key && this.encoder.encodeQueueSize > this.frameRate) {
      this.lost++;
      return;
    }
    const timestamp = Math.round((n * 1e6) / this.frameRate);
    const stamped = new VideoFrame(picture, { timestamp, duration: Math.round(1e6 / this.frameRate) });
    this.encoder.encode(stamped, { keyFrame: key });
    stamped.close();
  }

  send(chunk, meta) {
    const description = meta?.decoderConfig?.description;
    if (description) {
      const bytes = new Uint8Array(ArrayBuffer.isView(description) ? description.buffer : description);
      tell("video", { description: btoa(String.fromCharCode(...bytes)) });
    }
    const n = Math.round((chunk.timestamp * this.frameRate) / 1e6);
    const message = new Uint8Array(8 + chunk.byteLength);
    message[0] = VIDEO;
    message[1] = chunk.type === "key" ? 1 : 0;
    chunk.copyTo(message.subarray(8));
    if (n >= this.group.first) this.group.messages[n - this.group.first] = message;
    this.post(message, n);
  }

  post(message, n) {
    new DataView(message.buffer).setUint32(4, n, true);
    post(message.slice().buffer);
  }

  tick() {}

  flush() {
    return this.encoder.flush();
  }
}

/**
 * The file of the private file system that the recorder maps (shared_file.py). To be written at once it must be in a
 * worker. There is room for mail before it is needed.
 */
async function sharedFile({ secret, mailBytes, slots, slotBytes }) {
  const folder = await navigator.storage.getDirectory();
  const file = await (await folder.getFileHandle("shared", { create: true })).createSyncAccessHandle();
  file.truncate(MAIL_AT + mailBytes + slots * slotBytes);
  file.write(new Uint8Array(mailBytes), { at: MAIL_AT });
  file.write(new Uint8Array(secret), { at: 0 });
  return file;
}

/** Messages to the recorder in the file, one after the other and from the beginning again (mail.py). */
class Mail {
  constructor(file, { mailBytes }) {
    Object.assign(this, { file, bytes: mailBytes });
    this.sent = new Uint32Array(1); // bytes so far
    this.taken = new Uint32Array(1);
  }

  /** How many bytes may be put now. */
  room() {
    this.file.read(this.taken, { at: MAIL_TAKEN_AT });
    return this.bytes - ((this.sent[0] - this.taken[0]) >>> 0);
  }

  /** It is there once it counts. */
  put(message) {
    const at = this.sent[0] % this.bytes;
    const first = message.subarray(0, this.bytes - at);
    this.file.write(first, { at: MAIL_AT + at });
    if (first.length < message.length) this.file.write(message.subarray(first.length), { at: MAIL_AT });
    this.sent[0] += message.length;
    this.file.write(this.sent, { at: MAIL_PUT_AT });
  }
}

/** Pictures as they are, in the file: each goes into the first slot that is free (ring.py). */
class Ring {
  constructor(file, { mailBytes, slots, slotBytes }) {
    Object.assign(this, { file, slots, slotBytes });
    this.at = MAIL_AT + mailBytes;
    this.put = 0;
    this.used = []; // slots of pictures that the recorder is not done with, in their order
    this.taken = new Uint32Array(1);
    this.bytes = new Uint8Array(0);
  }

  /** Where it is; null without room for it. */
  async add(picture) {
    this.file.read(this.taken, { at: PICTURES_TAKEN_AT });
    this.used.splice(0, this.used.length - ((this.put - this.taken[0]) >>> 0));
    const size = picture.allocationSize();
    const format = ["I420", "NV12"].indexOf(picture.format);
    if (this.used.length >= this.slots || size > this.slotBytes || format < 0) return null;
    let slot = 0;
    while (this.used.includes(slot)) slot++;
    if (this.bytes.length !== size) this.bytes = new Uint8Array(size);
    await picture.copyTo(this.bytes);
    this.file.write(this.bytes, { at: this.at + slot * this.slotBytes });
    this.used.push(slot);
    this.put++;
    return { slot, format, width: picture.visibleRect.width, height: picture.visibleRect.height };
  }
}

/**
 * Pictures as they are to the recorder: u8 VIDEO, u8 1, u16 0, u32 slot (of the clock), then their place: u32 slot
 * (of the ring), u16 width, u16 height, u8 format. Without a place, and 0 for the 1: up to this slot nothing is new.
 */
class RawPictures {
  constructor(ring) {
    this.ring = ring;
    this.lost = 0;
    this.pending = 0; // pictures that are on their way into the ring
    this.kept = Promise.resolve(); // until they are in it
    this.until = -1; // the last slot that has its picture
    this.told = -1; // the last one of which the recorder knows
  }

  put(picture, n, repeated) {
    this.until = n;
    if (repeated) return;
    const copy = picture.clone();
    this.pending++;
    this.kept = this.kept.then(() => this.keep(copy, n)).catch(fail);
  }

  async keep(picture, n) {
    try {
      const place = await this.ring.add(picture);
      if (place) this.tellOf(place, n);
      else this.lost++;
    } finally {
      picture.close();
      this.pending--;
    }
  }

  tellOf(place, n) {
    const record = new DataView(new ArrayBuffer(17));
    this.head(record, 1, n);
    record.setUint32(8, place.slot, true);
    record.setUint16(12, place.width, true);
    record.setUint16(14, place.height, true);
    record.setUint8(16, place.format);
    post(record.buffer);
    this.told = n;
  }

  /** Tell of slots that show what was shown before. */
  tick() {
    if (this.pending || this.told === this.until) return;
    const record = new DataView(new ArrayBuffer(8));
    this.head(record, 0, this.until);
    post(record.buffer);
    this.told = this.until;
  }

  async flush() {
    await this.kept;
    this.tick();
  }

  head(record, key, n) {
    record.setUint8(0, VIDEO);
    record.setUint8(1, key);
    record.setUint32(4, n, true);
  }
}

/**
 * Sound to the recorder: u8 AUDIO, u8 channels, u16 0, u32 Hz, f64 seconds since the origin, u32 samples, planes of
 * i16, which are left out for silence.
 */
class Sound {
  constructor() {
    this.origin = undefined;
    this.until = Infinity; // what begins from then on is not recorded
    this.early = []; // what came last before the origin: sound comes later than pictures
    this.end = undefined; // when the last block ended
    this.gaps = 0;
    this.heard = -Infinity; // when there last was any
    this.planes = []; // used again and again: arrays for each block would be a megabyte of garbage
    this.reset();
  }

  reset() {
    this.samples = 0;
    this.silent = true;
  }

  begin(origin) {
    this.origin = origin;
    for (const block of this.early.splice(0)) this.put(block);
  }

  add(data, time) {
    if (time >= this.until) return;
    const { numberOfFrames: samples, numberOfChannels: channels, sampleRate } = data;
    const copy = (plane, planeIndex) => data.copyTo(plane, { planeIndex, format: "s16-planar" });
    if (this.origin !== undefined) {
      this.put({ time, samples, channels, sampleRate, copy });
      return;
    }
    const planes = Array.from({ length: channels }, () => new Int16Array(samples));
    planes.forEach(copy);
    const block = { time, samples, channels, sampleRate, copy: (plane, n) => plane.set(planes[n]) };
    if (this.early.push(block) > EARLY_BLOCKS) this.early.shift();
  }

  put({ time, samples, channels, sampleRate, copy }) {
    const expected = this.start + (this.samples / this.sampleRate) * 1000;
    const follows = this.channels === channels && this.sampleRate === sampleRate;
    if (this.samples && !(follows && Math.abs(time - expected) < AUDIO_JITTER_MS)) this.flush();
    if (time - this.end > AUDIO_JITTER_MS) this.gaps++;
    this.end = time + (samples / sampleRate) * 1000;
    if (!this.samples) Object.assign(this, { start: time, channels, sampleRate });
    this.room(this.samples + samples);
    for (let n = 0; n < channels; n++) {
      const plane = this.planes[n].subarray(this.samples, this.samples + samples);
      copy(plane, n);
      this.silent &&= plane.every((sample) => sample === 0);
    }
    this.samples += samples;
    if ((this.samples / sampleRate) * 1000 >= AUDIO_BATCH_MS) this.flush();
  }

  /** Have a plane of at least so many samples for each channel. */
  room(samples) {
    for (let n = 0; n < this.channels; n++) {
      const plane = this.planes[n] ?? new Int16Array(0);
      if (plane.length >= samples) continue;
      this.planes[n] = new Int16Array(2 * samples);
      this.planes[n].set(plane);
    }
  }

  flush() {
    if (!this.samples) return;
    const message = new ArrayBuffer(20 + (this.silent ? 0 : 2 * this.channels * this.samples));
    const header = new DataView(message);
    header.setUint8(0, AUDIO);
    header.setUint8(1, this.channels);
    header.setUint32(4, this.sampleRate, true);
    header.setFloat64(8, (this.start - this.origin) / 1000, true);
    header.setUint32(16, this.samples, true);
    if (!this.silent) {
      this.heard = performance.now();
      const payload = new Int16Array(message, 20);
      for (let n = 0; n < this.channels; n++) payload.set(this.planes[n].subarray(0, this.samples), n * this.samples);
    }
    post(message);
    this.reset();
  }
}

/** A picture in pieces. */
function* strips(picture) {
  const { x, y: top, width, height } = picture.visibleRect;
  for (let y = top; y < top + height; y += STRIP_ROWS) {
    yield { x, y, width, height: Math.min(STRIP_ROWS, top + height - y) };
  }
}

/** When a picture last was of more than one colour: looked at now and then, and only if it is another than before. */
class Sight {
  constructor() {
    this.seen = performance.now();
    this.blank = false;
    this.looked = null;
    this.bytes = new Uint8Array(0);
  }

  async look(picture) {
    if (!this.blank) this.seen = performance.now();
    if (!picture || picture === this.looked) return;
    this.looked = picture;
    const copy = picture.clone();
    try {
      this.blank = await this.even(copy);
    } catch {
      this.blank = false; // of a format that cannot be looked into
    } finally {
      copy.close();
    }
  }

  /** Whether all of it is as good as its first pixel. Most pictures are not from their first rows on. */
  async even(picture) {
    let first = null;
    for (const rect of strips(picture)) {
      const size = picture.allocationSize({ rect });
      if (this.bytes.length < size) this.bytes = new Uint8Array(size);
      const planes = await picture.copyTo(this.bytes, { rect });
      const bytes = (n) => (planes.length === 1 ? 4 : planes.length === 2 ? n + 1 : 1); // of a pixel
      first ??= planes.map(({ offset }, n) => this.bytes.slice(offset, offset + bytes(n)));
      for (const [n, { offset }] of planes.entries()) {
        const end = planes[n + 1]?.offset ?? size;
        for (let at = offset; at < end; at++) {
          if (Math.abs(this.bytes[at] - first[n][(at - offset) % first[n].length]) > EVEN) return false;
        }
      }
    }
    return true;
  }
}

/**
 * Chromium leaves out a picture that comes too soon after another, and takes it 70 ms later; but once a capture has failed,
 * as one may while a page is loaded, it does not do that any more: what a page has come to is not seen before it changes
 * again. So it is asked for what there is where nothing has come for a while, until that is what there was.
 */
class Newest {
  constructor(ask) {
    this.ask = ask; // for a picture: one comes, or none if Chromium thinks it too soon for that as well
    this.asked = false;
    this.settled = false;
    this.drawn = 0; // when the newest picture was
    this.timer = null;
    this.pieces = [new Uint8Array(0), new Uint8Array(0)];
  }

  /** Whether a picture that was drawn then shows what `last` does not, which came before it. */
  async isNew(picture, drawn, last) {
    this.drawn = drawn;
    const same = this.asked && last !== null && (await this.same(picture, last));
    this.asked = false;
    this.settled = same;
    if (!same) this.timer ??= setTimeout(() => this.look(), STILL_MS);
    return !same;
  }

  look() {
    this.timer = null;
    if (this.settled) return;
    const left = this.drawn + STILL_MS - performance.now();
    if (left <= 0) {
      this.asked = true;
      this.ask();
    }
    this.timer = setTimeout(() => this.look(), left > 0 ? left : STILL_MS);
  }

  /** What cannot be looked into does not differ. */
  async same(one, other) {
    if (one.format !== other.format) return false;
    if (!one.format) return true;
    for (const rect of strips(one)) {
      const size = one.allocationSize({ rect });
      if (this.pieces[0].length < size) this.pieces = this.pieces.map(() => new Uint8Array(size));
      const [piece, before] = this.pieces;
      await one.copyTo(piece, { rect });
      await other.copyTo(before, { rect });
      for (let at = 0; at < size; at++) if (piece[at] !== before[at]) return false;
    }
    return true;
  }
}

/** Pictures one by one. */
async function drain(stream, take) {
  const reader = stream.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    await take(value);
  }
}

/** Takes what there is of a stream for `sound` (a `Sound`), some ten times a second. */
class SoundDrain {
  constructor(stream, clock, sound) {
    this.reader = stream.getReader();
    this.clock = clock;
    this.sound = sound;
    this.quickest = Infinity; // between a block's time and its coming, of late
    this.learning = -Infinity; // since when that has been found out
    this.hurry = false;
    this.wake = () => {};
    this.rested = null; // called at the next rest
  }

  async run() {
    for (;;) {
      const { value, done } = await this.reader.read();
      if (done) return;
      const time = this.clock.map(value.timestamp);
      this.sound.add(value, time);
      value.close();
      const now = performance.now();
      if (now - this.learning > AUDIO_LEARN_EVERY_MS) {
        this.learning = now;
        this.quickest = Infinity;
      }
      const delay = now - time;
      this.quickest = Math.min(this.quickest, delay);
      if (now - this.learning < AUDIO_LEARN_MS || delay - this.quickest > AUDIO_NEWEST_MS) continue;
      this.sound.flush();
      this.rested?.();
      if (!this.hurry) await new Promise((resolve) => setTimeout((this.wake = resolve), AUDIO_REST_MS));
    }
  }

  /** What has come is taken, within a bound, and all that comes at once from now on. */
  async rest() {
    this.hurry = true;
    const rested = new Promise((resolve) => (this.rested = resolve));
    this.wake();
    await Promise.race([rested, new Promise((resolve) => setTimeout(resolve, AUDIO_REST_MS))]);
  }
}

/**
 * The matrix by which captured pictures really are converted to YUV, whatever they are marked with; null if it cannot
 * be told. The tab to record is green until it is sent to its page, and repainted all the time: luma 145 by BT.601, 173
 * by BT.709.
 */
async function measureMatrix(stream) {
  const reader = stream.getReader();
  const pixels = new Uint8Array(16);
  const late = new Promise((resolve) => setTimeout(resolve, MEASURE_MS, { done: true }));
  let matrix = null;
  while (!matrix) {
    const { value: picture, done } = await Promise.race([reader.read(), late]);
    if (done) break;
    if (/^(I420|NV12)/.test(picture.format ?? "")) {
      await picture.copyTo(pixels, { rect: { x: 0, y: 0, width: 2, height: 2 } });
      if (Math.abs(pixels[0] - 145) < 8) matrix = "bt601";
      if (Math.abs(pixels[0] - 173) < 8) matrix = "bt709";
    }
    picture.close();
  }
  reader.cancel();
  return matrix;
}

async function supported(configs) {
  for (const config of configs) {
    try {
      if ((await VideoEncoder.isConfigSupported(config)).supported) return config;
    } catch {
      // A codec string that this browser does not know.
    }
  }
  return null;
}

/** How pictures are sent: as they are in the file, to be encoded by the recorder, or else encoded. Null without any. */
async function encoding(file, { configs }) {
  if (!configs.length) return null;
  const config = file ? { codec: "raw" } : await supported(configs);
  if (!config) throw new Error("it has no video encoder for this size");
  return config;
}

handlers.options = ({ options }) => {
  const opened = options.file ? sharedFile(options.file).catch(() => null) : null; // there cannot be one: a full disk
  handlers.streams = async (streams) => {
    try {
      await connected;
      const file = await opened;
      mail = file && new Mail(file, options.file);
      await record(streams, file, await encoding(file, options), options);
    } catch (error) {
      fail(error);
    }
  };
};

async function record(streams, file, config, options) {
  handlers.ended = () => tell("ended");
  const matrix = config ? await measureMatrix(streams.green) : null;
  tell("selected");
  const offset = await monotonicOffset();
  const pictures = config && (file
    ? new RawPictures(new Ring(file, options.file))
    : new Pictures(config, options.frameRate, options.keyEvery));
  const slots = config && new Slots(options.frameRate, (...slot) => pictures.put(...slot));
  const sound = new Sound();
  const sight = new Sight();
  const newest = new Newest(() => postMessage(null));
  const period = 1000 / options.frameRate;
  const seenAfter = SEEN_AFTER_MS - Math.max(0, (period - PAINTED_EVERY_MS) / 2);
  const even = options.frameRate > 30 || Number.isInteger(60 / options.frameRate);
  const early = period * (options.frameRate === 30 ? EVERY_OTHER : even ? 0 : UNEVEN);
  let sounds = null;
  let captured = -Infinity; // when the newest picture was drawn
  let enough = Infinity; // the recording begins with the first picture captured at or after this
  const begin = () => {
    if (sound.origin !== undefined) return;
    enough = Infinity;
    const now = performance.now();
    // A page that moves keeps its pace: then its pictures come in the middle of what rounds to their slot.
    const origin = now - captured < MOVING_MS ? captured + seenAfter - early : now;
    slots?.begin(origin);
    sound.begin(origin);
    tell("begun", { monotonic: (origin + offset) / 1000 });
    setInterval(() => {
      slots?.fill(performance.now() - HOLD_MS);
      pictures?.tick();
      sendOutbox();
    }, TICK_MS);
    setInterval(status, STATUS_MS);
  };
  const status = () => {
    if (slots) sight.look(slots.last);
    sendOutbox();
    if (outbox.length) return; // the recorder would take what has not come yet for silence
    tell("status", {
      seconds: (performance.now() - sound.origin) / 1000,
      idle: (performance.now() - Math.max(sound.origin, sound.heard, slots ? sight.seen : 0)) / 1000,
      counters: { ...slots?.counters, ...(pictures && { frames_lost: pictures.lost }), audio_gaps: sound.gaps },
    });
  };
  const stop = async () => {
    const end = performance.now();
    handlers.ended = null;
    sound.until = end;
    if (slots?.origin !== undefined) {
      slots.fill(end);
      await pictures.flush();
    }
    await sounds?.rest();
    sound.flush();
    while (sendOutbox(), outbox.length) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    status();
    tell("done", { seconds: (end - (sound.origin ?? end)) / 1000 });
  };

  if (slots) {
    const clock = new CaptureClock(offset);
    drain(streams.pictures, async (picture) => {
      captured = clock.map(picture.timestamp);
      if (await newest.isNew(picture, captured, slots.waiting ?? slots.last)) slots.add(picture, captured + seenAfter);
      else picture.close();
      if (captured >= enough) begin();
    }).catch(fail);
  }
  if (streams.sound) {
    sounds = new SoundDrain(streams.sound, new CaptureClock(offset), sound);
    sounds.run().catch(fail);
  }
  handlers.stop = () => stop().catch(fail);
  handlers.go = ({ painted, answered }) => {
    const want = (time) => {
      if (sound.origin !== undefined) return;
      enough = time - performance.timeOrigin;
      if (!slots || captured >= enough) begin();
    };
    want(painted);
    setTimeout(() => want(answered), LAST_PAINT_MS);
    setTimeout(begin, ANY_PAINT_MS);
  };
  tell("ready", { codec: config?.codec ?? null, matrix, sound: Boolean(streams.sound), file: Boolean(file) });
}
