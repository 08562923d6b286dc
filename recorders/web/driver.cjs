"use strict";
// Loaded into playwright's driver before its own code. A quarter of its heap is what was needed to start it, and V8
// would keep that for as long as the driver has as little to do as it has.
const v8 = require("node:v8");
const vm = require("node:vm");

const STARTED_MS = 3000;

setTimeout(() => {
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")({ type: "major", flavor: "last-resort" });
}, STARTED_MS).unref();
