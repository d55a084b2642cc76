// Lets the search work in pages that are opened as files: a browser refuses Workers there, so that the search's script runs in
// a hidden frame instead. Material for MkDocs would fetch such a stand-in from elsewhere.
"use strict";

if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.style.display = "none";
      frame.srcdoc = "<!doctype html><title>search</title>";
      frame.onload = () => this.start(frame.contentWindow, url);
      document.body.append(frame);
    }

    start(inside, url) {
      const load = (file) => new Promise((done, fail) => {
        const script = inside.document.createElement("script");
        Object.assign(script, { src: file, onload: done, onerror: fail });
        inside.document.head.append(script);
      });
      inside.importScripts = async (...files) => { for (const file of files) await load(file); };
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      load(new URL(url, location.href).href).then(() => {
        this.inside = inside;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      });
    }

    postMessage(data) {
      if (this.inside) this.inside.dispatchEvent(new MessageEvent("message", { data }));
      else this.waiting.push(data);
    }
  };
}
