#!/usr/bin/env node
// The published program; a clone uses ./knarr instead. Node runs the bundle as it is.
const [major] = process.versions.node.split('.');
if (Number(major) < 24) {
  console.error(`knarr: needs Node.js 24 or newer, this is ${process.version}.`);
  process.exit(1);
}
await import('../dist/knarr.js');
