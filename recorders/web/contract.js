// What a page under record finds, and what is noticed in it: runs in each of its frames before the page's own
// scripts. The recorder asks the page for what it has to tell, as `window[name]` (contract.py); `task` it is told.

(name, task) => {
  "use strict";
  const MOST = 16;
  // Characters: of a line that is told, and of one that is printed, which the driver would keep whole.
  const TOLD = 200;
  const PRINTED = 2000;

  // As they are before a page can change them.
  const { String, Event } = window;
  const { apply } = Reflect;
  const { parse, stringify } = JSON;
  const { slice, includes } = String.prototype;
  const { dispatchEvent } = EventTarget.prototype;

  // A copy: a slice would keep all of its text.
  const cut = (text, most) => (text.length > most ? parse(stringify(apply(slice, text, [0, most]))) : text);
  const none = () => ({ text: "", count: 0 });
  /** Whether `what` is another line than those there are, of which there is room for some. */
  const add = (lines, what) => {
    const line = `${cut(what, TOLD)}\n`;
    if (lines.count === MOST || apply(includes, `\n${lines.text}`, [`\n${line}`])) return false;
    lines.text += line;
    lines.count++;
    return true;
  };

  let queue = none();
  let answer = null;
  const tell = (what) => {
    if (what) add(queue, what);
    if (!answer || !queue.count) return;
    const { text } = queue;
    const resolve = answer;
    queue = none();
    answer = null;
    resolve(text);
  };

  const noted = none();
  const note = (protection) => {
    if (!add(noted, protection)) return;
    try {
      window.top[name].note(protection);
    } catch {
      // In a frame of another origin: it has nobody to tell.
    }
  };
  const { requestMediaKeySystemAccess: ask } = Navigator.prototype;
  if (ask) {
    Navigator.prototype.requestMediaKeySystemAccess = function requestMediaKeySystemAccess(keySystem, configurations) {
      note(String(keySystem));
      return apply(ask, this, arguments);
    };
  }
  window.addEventListener("encrypted", ({ initDataType }) => note(`media of type ${initDataType}`), true);

  let signal = () => {};
  for (const level of ["log", "info", "debug", "warn", "error"]) {
    const print = console[level];
    console[level] = (...what) => {
      signal(what[0]);
      for (let i = 0; i < what.length; i++) if (typeof what[i] === "string") what[i] = cut(what[i], PRINTED);
      apply(print, console, what);
    };
  }

  if (window !== window.top) return;

  let state = "loading";
  class Egress extends EventTarget {
    constructor() {
      super();
      this.task = Object.freeze(task);
      Object.freeze(this);
    }
    get state() {
      return state;
    }
    start() {
      tell("start");
    }
    stop() {
      tell("stop");
    }
  }
  const egress = new Egress();
  const recorder = Object.freeze({
    note: (protection) => tell(`protected ${String(protection)}`),
    begun: () => {
      if (state === "recording") return;
      state = "recording";
      apply(dispatchEvent, egress, [new Event("recording")]);
    },
    // No promise, and a string: what comes of an object that is waited for, a page may have changed.
    next: () => ({
      __proto__: null,
      then: (resolve) => {
        answer = resolve;
        tell();
      },
    }),
  });
  Object.defineProperty(window, name, { value: recorder });
  // Not a fixed one: a page may have an `egress` of its own.
  Object.defineProperty(window, "egress", { value: egress, writable: true, configurable: true });

  signal = (said) => {
    if (said === "START_RECORDING") tell("start");
    if (said === "END_RECORDING") tell("stop");
  };
}
