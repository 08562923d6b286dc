// What a page under record finds, and what is noticed in it: runs in each of its frames before the page's own
// scripts. `call` tells the recorder (contract.py); `task` is what the page is told.

(name, task) => {
  "use strict";
  const call = window[name];
  delete window[name];
  if (!call) return;
  const tell = (...what) => call(...what).catch(() => {});

  const noted = new Set();
  const note = (protection) => {
    if (noted.has(protection)) return;
    noted.add(protection);
    tell("protected", protection);
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

  class Egress extends EventTarget {
    #state = "loading";
    constructor() {
      super();
      this.task = Object.freeze(task);
      Object.freeze(this);
      call("begun").then(() => {
        this.#state = "recording";
        this.dispatchEvent(new Event("recording"));
      }, () => {});
    }
    get state() {
      return this.#state;
    }
    start() {
      tell("start");
    }
    stop() {
      tell("stop");
    }
  }
  const egress = new Egress();
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
