"use strict";
// Loaded into playwright's driver before its own code, to keep it small.
const fs = require("node:fs");
const path = require("node:path");
const { registerHooks } = require("node:module");
const { fileURLToPath } = require("node:url");
const v8 = require("node:v8");

const STARTED_MS = 3000;
const LARGE_BYTES = 1 << 20;

// A source with a character that is not ASCII is kept with two bytes for each. The driver's two large files have some
// hundred, most of them in comments: there are copies without them beside its parsed code, made by the first driver.
registerHooks({
  load(url, context, next) {
    const source = context.format !== "module" && url.startsWith("file:") ? narrow(fileURLToPath(url)) : null;
    return source ? { format: "commonjs", source, shortCircuit: true } : next(url, context);
  },
});

function narrow(file) {
  let own;
  try {
    const { size, mtimeMs } = fs.statSync(file);
    if (size < LARGE_BYTES || !file.endsWith(".js")) return null;
    const copy = path.join(process.env.NODE_COMPILE_CACHE, `${path.basename(file)}.${size}.${mtimeMs}`);
    if (!fs.existsSync(copy)) {
      const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
      own = `${copy}.${process.pid}`;
      fs.writeFileSync(own, fs.readFileSync(file, "utf8").replace(/[^\x00-\x7f]/g, escaped));
      fs.renameSync(own, copy);
    }
    return fs.readFileSync(copy, "latin1");
  } catch {
    if (own) fs.rm(own, () => {});
    return null; // it is loaded as it is
  }
}

// A quarter of its heap is what was needed to start it, and V8 would keep that, and the code that ran then, for as long
// as the driver has as little to do as it has.
setTimeout(() => {
  v8.setFlagsFromString("--bytecode-old-age=1");
  for (let i = 0; i < 2; i++) gc({ type: "major", flavor: "last-resort" });
  v8.setFlagsFromString("--bytecode-old-age=6");
}, STARTED_MS).unref();
