// What a page under record finds, and what is noticed in it: runs in each of its frames before the page's own
// scripts. The recorder asks the page for what it has to tell, as `window[name]` (contract.py); `task` it is told.

(name, task) => {
  "use strict";
  const MOST = 16;
  const queue = [];
  let asked = () => {};
  const tell = (...what) => {
    const told = queue.some((other) => other.join() === what.join());
    if (!told && queue.length < MOST) queue.push(what);
    asked();
  };

  const noted = new Set();
  const note = (protection) => {
    if (noted.has(protection) || noted.size === MOST) return;
    noted.add(protection);
    try {
      window.top[name].note(protection);
    } catch {
      // In a frame of another origin: it has nobody to tell.
    }
  };
  const { requestMediaKeySystemAccess: ask } = Navigator.prototype;
  if (ask) {
    Navigator.prototype.requestMediaKeySystemAccess = function requestMediaKeySystemAccess(keySystem, ...rest) {
      note(String(keySystem));
      return ask.call(this, keySystem, ...rest);
    };
  }
  window.addEventListener("encrypted", ({ initDataType }) => note(`media of type ${initDataType}`), true);

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
    note: (protection) => tell("protected", String(protection)),
    begun: () => {
      if (state === "recording") return;
      state = "recording";
      egress.dispatchEvent(new Event("recording"));
    },
    next: () => new Promise((resolve) => {
      asked = () => queue.length && resolve(queue.splice(0));
      asked();
    }),
  });
  Object.defineProperty(window, name, { value: recorder });
  // Not a fixed one: a page may have an `egress` of its own.
  Object.defineProperty(window, "egress", { value: egress, writable: true, configurable: true });

  const signals = { START_RECORDING: () => egress.start(), END_RECORDING: () => egress.stop() };
  for (const level of ["log", "info", "debug", "warn", "error"]) {
    const print = console[level];
    console[level] = (...what) => {
      if (typeof what[0] === "string" && Object.hasOwn(signals, what[0])) signals[what[0]]();
      print(...what);
    };
  }
}
