self.onmessage = async ({source}) => {
  const tried = ["http://127.0.0.1:@PORT@/", "http://localhost:@PORT@/", "http://169.254.169.254/"];
  const ends = await Promise.allSettled(tried.map(url => fetch(url, {mode: "no-cors"})));
  source.postMessage(ends.filter(end => end.status === "fulfilled").length);
};
self.onfetch = event => {
  if (event.request.url.endsWith("/through"))
    event.respondWith(fetch("http://127.0.0.1:@PORT@/instead", {mode: "no-cors"}));
};
self.oninstall = () => self.skipWaiting();
self.onactivate = event => event.waitUntil(clients.claim());
