/* Tells the node which device looks at a page of ours (a honeypot, a decoy). No library, no cookie but one name of its own.
   What it collects and what it is for: docs/rooms/lake.md. Each fact is tried alone: what a browser withholds is missing. */
(function () {
  "use strict";
  var own = document.currentScript;
  if (!own || !own.src || window.__told) return;
  window.__told = true;
  var door = own.src.replace(/\.js(\?.*)?$/, "");
  var WAIT = 2500, NAME = "_vid";

  function tried(make) { try { return make(); } catch (e) { return undefined; } }

  /* SHA-256, FIPS 180-4; crypto.subtle is missing on pages without TLS. */
  function digest(text) {
    var bytes = [], i, j, k = [], h = [], primes = 0, n;
    for (n = 2; primes < 64; n++) {
      for (i = 2; i * i <= n && n % i; i++);
      if (i * i > n) {
        if (primes < 8) h[primes] = (Math.sqrt(n) * 4294967296) | 0;
        k[primes++] = (Math.cbrt(n) * 4294967296) | 0;
      }
    }
    text = unescape(encodeURIComponent(text));
    for (i = 0; i < text.length; i++) bytes.push(text.charCodeAt(i));
    bytes.push(128);
    while (bytes.length % 64 !== 56) bytes.push(0);
    for (i = 56; i >= 0; i -= 8) bytes.push(i > 31 ? 0 : ((text.length * 8) >>> i) & 255);
    function turn(x, by) { return (x >>> by) | (x << (32 - by)); }
    for (j = 0; j < bytes.length; j += 64) {
      var w = [], v = h.slice();
      for (i = 0; i < 64; i++) {
        if (i < 16) w[i] = (bytes[j + 4 * i] << 24) | (bytes[j + 4 * i + 1] << 16) | (bytes[j + 4 * i + 2] << 8) | bytes[j + 4 * i + 3];
        else w[i] = (w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3)) + w[i - 7] + (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10))) | 0;
        var one = (v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i]) | 0;
        var two = ((turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]))) | 0;
        v = [(one + two) | 0, v[0], v[1], v[2], (v[3] + one) | 0, v[4], v[5], v[6]];
      }
      for (i = 0; i < 8; i++) h[i] = (h[i] + v[i]) | 0;
    }
    return h.map(function (part) { return ("0000000" + (part >>> 0).toString(16)).slice(-8); }).join("");
  }

  function canvas() {
    var board = document.createElement("canvas"), pen = board.getContext("2d");
    board.width = 260; board.height = 60;
    pen.textBaseline = "top"; pen.font = "16px Arial, sans-serif";
    pen.fillStyle = "#f60"; pen.fillRect(100, 5, 80, 30);
    pen.fillStyle = "#069"; pen.fillText("Cwm fjord 联防 \ud83d\ude03", 2, 15);
    pen.fillStyle = "rgba(102, 204, 0, 0.7)"; pen.fillText("Cwm fjord 联防 \ud83d\ude03", 4, 17);
    pen.globalCompositeOperation = "multiply";
    pen.fillStyle = "rgb(255,0,255)"; pen.beginPath(); pen.arc(50, 40, 20, 0, Math.PI * 2); pen.fill();
    return digest(board.toDataURL());
  }

  function webgl() {
    var gl = document.createElement("canvas").getContext("webgl"), named = gl.getExtension("WEBGL_debug_renderer_info"), values = [];
    [3379, 3386, 34076, 34024, 34921, 34930, 35660, 35661, 36347, 36348, 36349, 33901, 33902, 3410, 3411, 3412, 3413, 3414, 3415].forEach(function (name) { values.push(String(gl.getParameter(name))); });
    return {
      vendor: String(gl.getParameter(named ? named.UNMASKED_VENDOR_WEBGL : gl.VENDOR)), renderer: String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER)),
      version: String(gl.getParameter(gl.VERSION)), digest: digest(values.join() + (gl.getSupportedExtensions() || []).join())
    };
  }

  function fonts() {
    var wanted = ["Arial", "Calibri", "Cambria", "Candara", "Consolas", "Courier New", "DejaVu Sans", "Droid Sans", "FangSong", "Fira Code", "Georgia", "Helvetica Neue", "Hiragino Sans GB", "Impact", "KaiTi", "Liberation Sans", "Lucida Console", "Lucida Grande", "Menlo", "Microsoft JhengHei", "Microsoft YaHei", "Monaco", "Noto Sans CJK SC", "Noto Serif", "PingFang SC", "Roboto", "Segoe UI", "SimHei", "SimSun", "Source Code Pro", "Source Han Sans SC", "STHeiti", "STSong", "Tahoma", "Times New Roman", "Trebuchet MS", "Ubuntu", "Verdana", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"];
    var pen = document.createElement("canvas").getContext("2d");
    function width(font) { pen.font = "72px " + font; return pen.measureText("mmmmlli联防WQ@").width; }
    var plain = { monospace: width("monospace"), serif: width("serif"), "sans-serif": width("sans-serif") };
    return wanted.filter(function (name) { return Object.keys(plain).some(function (base) { return width("'" + name + "', " + base) !== plain[base]; }); });
  }

  function sound(done) {
    var Context = window.OfflineAudioContext || window.webkitOfflineAudioContext, context = new Context(1, 5000, 44100), tone = context.createOscillator(), press = context.createDynamicsCompressor();
    tone.type = "triangle"; tone.frequency.value = 10000;
    press.threshold.value = -50; press.knee.value = 40; press.ratio.value = 12; press.attack.value = 0; press.release.value = 0.25;
    tone.connect(press); press.connect(context.destination); tone.start(0);
    context.oncomplete = function (event) { done(tried(function () { return digest(Array.prototype.slice.call(event.renderedBuffer.getChannelData(0), 4500, 5000).join()); })); };
    context.startRendering();
  }

  function local(done) {
    var peer = new RTCPeerConnection({ iceServers: [] }), found = [];
    peer.createDataChannel("");
    peer.onicecandidate = function (event) {
      if (!event.candidate) { tried(function () { peer.close(); }); return done(found); }
      var address = event.candidate.address || event.candidate.candidate.split(" ")[4];
      if (address && found.indexOf(address) < 0) found.push(address);
    };
    peer.createOffer().then(function (offer) { return peer.setLocalDescription(offer); }).catch(function () { done(found); });
  }

  function details(done) {
    navigator.userAgentData.getHighEntropyValues(["architecture", "bitness", "model", "platformVersion"]).then(function (said) {
      done({ platform: said.platform, version: said.platformVersion, architecture: said.architecture, bitness: said.bitness, model: said.model });
    }, function () { done(undefined); });
  }

  function devices(done) {
    navigator.mediaDevices.enumerateDevices().then(function (all) {
      done(all.map(function (one) { return one.kind; }).sort().join());
    }, function () { done(undefined); });
  }

  /* The one name it gives a browser, so that two visits are known as one; whoever deletes it is a new visitor. */
  function visitor() {
    var name = tried(function () { return localStorage.getItem(NAME); }) || tried(function () { return (document.cookie.match(/(?:^|; )_vid=([0-9a-f]{32})/) || [])[1]; });
    if (!/^[0-9a-f]{32}$/.test(name || "")) name = digest([Date.now(), Math.random(), Math.random(), performance.now()].join()).slice(0, 32);
    tried(function () { localStorage.setItem(NAME, name); });
    tried(function () { document.cookie = NAME + "=" + name + "; path=/; max-age=15552000; SameSite=Lax"; });
    return name;
  }

  var n = navigator, s = window.screen, told = {
    page: location.href, referrer: document.referrer, visitor: tried(visitor),
    device: {
      platform: n.platform, cores: n.hardwareConcurrency, memory: n.deviceMemory, touch: n.maxTouchPoints, languages: tried(function () { return n.languages.slice(); }) || [n.language], webdriver: n.webdriver,
      screen: tried(function () { return { width: s.width, height: s.height, available_width: s.availWidth, available_height: s.availHeight, depth: s.colorDepth, ratio: window.devicePixelRatio }; }),
      zone: tried(function () { return Intl.DateTimeFormat().resolvedOptions().timeZone; }), offset: -new Date().getTimezoneOffset(),
      canvas: tried(canvas), webgl: tried(webgl), fonts: tried(fonts), plugins: tried(function () { return Array.prototype.map.call(n.plugins, function (one) { return one.name; }); }),
      math: tried(function () { return digest([Math.tan(-1e300), Math.sinh(1), Math.expm1(1), Math.cosh(10), Math.pow(Math.PI, -100)].join()); }),
      network: tried(function () { return n.connection.effectiveType; }), storage: tried(function () { return !!window.localStorage; }), cookies: n.cookieEnabled
    }
  };
  var open = 0, sent = false;
  function later(name, ask) {
    open++;
    var once = false;
    function done(value) { if (once) return; once = true; told.device[name] = value; if (!--open) send(); }
    if (tried(function () { ask(done); return true; }) !== true) setTimeout(function () { done(undefined); }, 0);
  }
  function send() {
    if (sent) return;
    sent = true;
    var text = JSON.stringify(told);
    if (window.fetch) { tried(function () { fetch(door, { method: "POST", body: text, mode: "no-cors", credentials: "omit", keepalive: true }).catch(function () {}); }); return; }
    tried(function () { var request = new XMLHttpRequest(); request.open("POST", door, true); request.setRequestHeader("Content-Type", "text/plain"); request.send(text); });
  }
  later("audio", sound); later("addresses", local); later("details", details); later("media", devices);
  setTimeout(send, WAIT);
})();
