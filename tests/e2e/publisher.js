// A WHIP client (RFC 9725) in a page: publish with trickled candidates, restart ICE, leave.
window.whip = {
  async publish(url, token) {
    this.headers = { Authorization: `Bearer ${token}` };
    const media = await navigator.mediaDevices.getUserMedia({
      audio: true, video: { width: 320, height: 180, frameRate: 30 },
    });
    const pc = (this.pc = new RTCPeerConnection());
    for (const track of media.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [media] });
    const offer = await pc.createOffer();
    const early = [];
    pc.onicecandidate = (event) => early.push(event.candidate);
    await pc.setLocalDescription(offer);
    const reply = await fetch(url, {
      method: "POST", body: offer.sdp, headers: { ...this.headers, "Content-Type": "application/sdp" },
    });
    if (reply.status !== 201) return `${reply.status} ${await reply.text()}`;
    this.session = new URL(reply.headers.get("Location"), url).href;
    this.etag = reply.headers.get("ETag");
    this.answer = await reply.text();
    await pc.setRemoteDescription({ type: "answer", sdp: this.answer });
    await this.gathered();
    const trickled = await this.patch(early.filter(Boolean).map((one) => one.candidate), this.etag);
    return `${offer.sdp.includes("a=candidate")} ${trickled.status}`;
  },

  async gathered() {
    while (this.pc.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  },

  line(name) {
    return this.pc.localDescription.sdp.match(new RegExp(`^a=${name}:(.*)$`, "m"))[1].trim();
  },

  patch(candidates, etag) {
    const lines = [
      `a=ice-ufrag:${this.line("ice-ufrag")}`, `a=ice-pwd:${this.line("ice-pwd")}`,
      "m=audio 9 UDP/TLS/RTP/SAVPF 0", `a=mid:${this.line("mid")}`,
      ...candidates.map((one) => `a=${one}`), "a=end-of-candidates",
    ];
    return fetch(this.session, {
      method: "PATCH", body: lines.join("\r\n") + "\r\n",
      headers: { ...this.headers, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag },
    });
  },

  async restart() {
    const { pc } = this;
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    const mine = () => pc.localDescription.sdp.split("\r\n").filter((line) => line.startsWith("a=candidate:"));
    while (!mine().length) await new Promise((done) => setTimeout(done, 20));
    await this.gathered();
    const own = mine();
    const reply = await this.patch([...new Set(own)].map((line) => line.slice(2)), "*");
    const fragment = await reply.text();
    if (reply.status !== 200) return `${reply.status} ${fragment}`;
    const changed = this.etag !== reply.headers.get("ETag");
    const lines = fragment.split("\r\n");
    const candidates = lines.filter((line) => line.startsWith("a=candidate:"));
    const ice = (name) => lines.find((line) => line.startsWith(`a=${name}:`));
    const answer = this.answer.split("\r\n").filter((line) => !/^a=(candidate:|end-of-candidates)/.test(line))
      .map((line) => (/^a=ice-(ufrag|pwd):/.test(line) ? ice(line.slice(2).split(":")[0]) : line))
      .flatMap((line) => (line.startsWith("a=mid:") ? [line, ...candidates] : [line]));
    await pc.setRemoteDescription({ type: "answer", sdp: answer.join("\r\n") });
    const stale = await this.patch([], this.etag);
    return `${changed} ${stale.status}`;
  },

  async ports() {
    const stats = [...(await this.pc.getStats()).values()];
    const transport = stats.find((one) => one.type === "transport");
    const pair = stats.find((one) => one.id === transport.selectedCandidatePairId);
    return pair ? stats.find((one) => one.id === pair.remoteCandidateId).port : null;
  },

  async leave() {
    return (await fetch(this.session, { method: "DELETE", headers: this.headers })).status;
  },
};
