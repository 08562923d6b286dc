"use strict";
// Loaded into playwright's driver before its own code.
const { registerHooks } = require("node:module");
const v8 = require("node:v8");
const vm = require("node:vm");

const STARTED_MS = 3000;
const BEYOND_LATIN1 = /[^\0-\xff]/g;

// V8 keeps sources, and those with a single character beyond Latin-1 as two bytes for each: 7 MB for 200 dashes.
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (typeof loaded.source !== "string") return loaded;
    const plain = loaded.source.replace(BEYOND_LATIN1, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
    return { ...loaded, source: Buffer.from(plain, "latin1").toString("latin1") };
  },
});

// A quarter of its heap is what was needed to start it, and V8 would keep that for as long as the driver has as little
// to do as it has.
setTimeout(() => {
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")({ type: "major", flavor: "last-resort" });
}, STARTED_MS).unref();
