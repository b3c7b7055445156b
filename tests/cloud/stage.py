"""What the tests on real servers share: the servers, the program and its configuration, the comparison, readers and caches."""
import collections
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("CLOUD_CACHE", os.path.expanduser("~/.cache/difusor-cloud"))
READERS = CACHE + "/readers"
CACHES = {"radosgw": "varnish", "azurite": "nginx"}  # before which cloud
CLOUDS = {"radosgw": "s3", "azurite": "azure", "gcs": "gcs"}
PACKAGES = ("@aws-sdk/client-s3@3.1169.0", "@azure/storage-blob@12.28.0")
TYPES = {  # independent of the program's own table; it may say charset=utf-8 of what is text
    "html": "text/html", "js": "text/javascript", "css": "text/css", "json": "application/json", "svg": "image/svg+xml",
    "csv": "text/csv", "zip": "application/zip", "woff2": "font/woff2", "png": "image/png", "txt": "text/plain",
    "ico": "image/x-icon"}
NO_FAULTS = ("connections", "requests", "pending")  # among the proxy's counts
AGGREGATE = re.compile(r"^assets/(\w+)/(avanceNacional|\1Nacional)\.json$")
CLASSES = "\n[class aggregate]\nmatch = avanceNacional.json *Nacional.json\nphase = aggregate\n" \
          "cache_control = public, max-age=5, stale-while-revalidate=30, stale-if-error=86400\n"
failures = []
_ports = threading.Lock()
_given = set()


def expect(what, have, want):
    if have != want:
        failures.append(f"{what}: {have!r}, not {want!r}")
        print("FAILED", failures[-1])


def free_port(n=1):
    """The first of n in a row that nobody listens on, and that nobody here was given."""
    with _ports:
        out = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
        used = _given | {int(line.split()[3].rsplit(":", 1)[1]) for line in out.splitlines()}
        port = 20000 + (os.getpid() * 37) % 9000
        while any(p in used for p in range(port, port + n)):
            port += 1
        _given.update(range(port, port + n))
        return port


class Cloud:
    def __init__(self, name, w):
        self.name, self.kind, self.folder, self.ca = name, CLOUDS[name], f"{w}/{name}", w + "/ca"
        self.start()

    def start(self):
        for attempt in (1, 2):  # a busy machine may be too slow for the first
            self.port = free_port()
            more = {"radosgw": [str(free_port(2) + 10000)], "azurite": [CACHE + "/azurite"], "gcs": []}[self.name]
            os.makedirs(self.folder, exist_ok=True)
            out = subprocess.run([f"{HERE}/servers/{self.name}", "start", self.folder, self.ca, str(self.port), *more],
                                 stdout=subprocess.PIPE, text=True)
            if out.returncode == 0:
                break
            shutil.rmtree(self.folder)
        else:
            sys.exit(f"{self.name} did not start")
        self.ini = out.stdout
        with open(self.folder + ".ini", "w") as f:
            f.write(self.ini)

    def by(self, port):
        """The lines of a section that reaches it, and its token endpoint, by another port."""
        ini = self.ini.replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}")
        account = re.search(r"^credentials = (.*)$", ini, re.M)
        if account:
            with open(account[1]) as f, open(os.open(f"{account[1]}.{port}", os.O_CREAT | os.O_WRONLY, 0o600), "w") as to:
                to.write(f.read().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"))
            ini = ini.replace(account[0], f"{account[0]}.{port}")
        return ini

    def stop(self):
        subprocess.run([f"{HERE}/servers/{self.name}", "stop", self.folder])

    def read(self, plant=()):
        """Everything in it, by somebody else's client."""
        env = dict(os.environ, NODE_EXTRA_CA_CERTS=self.ca + "/ca.pem")
        out = subprocess.run(["node", READERS + "/read.mjs", self.folder + ".ini", *plant], capture_output=True, text=True, env=env)
        if out.returncode != 0:
            raise RuntimeError(f"could not read back {self.name}: {out.stderr[-2000:]}")
        return {o["key"]: o for o in map(json.loads, out.stdout.splitlines())}


class Proxy:
    """faults/proxy.mjs in front of clouds; a lane for each."""

    def __init__(self, clouds, w, seed):
        ca = w + "/ca"
        lanes = [f"--lane={c.name}={c.port}={c.kind}" for c in clouds]
        self.process = subprocess.Popen(
            ["node", HERE + "/faults/proxy.mjs", *lanes, "--cert", ca + "/srv.pem", "--key", ca + "/srv.key",
             "--ca", ca + "/ca.pem", "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.control, self.ports = f"http://127.0.0.1:{told['control']}/", told["lanes"]

    def faults(self, lane, rules):
        with urllib.request.urlopen(self.control + lane, json.dumps(rules).encode()) as answer:
            answer.read()

    def counts(self):
        with urllib.request.urlopen(self.control) as answer:
            return json.load(answer)

    def stop(self):
        self.process.kill()
        self.process.wait()


def section(name, lines, more=""):
    """A store of these lines and its destination."""
    return f"\n[store {name}]\n{lines}\n[destination {name}]\nstore = {name}\ngrace = 0s\n{more}"


class Agent:
    """The program with a configuration of its own below w. sections: as section() makes them; a folder comes with it.
    agent: more lines of [agent]."""

    def __init__(self, build, w, sections, folder=True, agent=""):
        self.exe, self.w, self.config = build + "/difusor", w, w + "/etc/difusor.ini"
        os.makedirs(w + "/etc", exist_ok=True)
        with open(self.config, "w") as f:
            f.write(f"[agent]\nstate = {w}/state\nplugins = {build}/plugins.d\nprofile = rehearsal\n{agent}")
            f.write("".join(sections))
            if folder:
                f.write(section("folder", f"plugin = dir\nroot = {w}/folder\n"))
        os.chmod(self.config, 0o600)
        self.peak = 0

    def call(self, *words):
        """Exit code and what it said."""
        with open(self.w + "/out", "w") as out, open(self.w + "/err", "a") as err:
            p = subprocess.Popen([self.exe, *words, "--config", self.config, "--json"], stdout=out, stderr=err)
            _, status, used = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
        self.peak = max(self.peak, used.ru_maxrss / 1024)
        with open(self.w + "/out") as f:
            text = f.read()
        return p.returncode, json.loads(text) if text.strip() else {}

    def run(self, *words, want=0):
        code, said = self.call(*words)
        expect(f"exit of {words[0]}", code, want)
        return said

    def publish(self, package, want=0, more=()):
        said = self.run("publish", package, *more, want=want)
        if "took_ms" not in said:
            return said
        print(f"publish {os.path.basename(package)}: exit {said['exit']}, {said['took_ms'] / 1000:.1f} s")
        for d in said["destinations"]:
            print(f"  {d['name']:<8} {d['state']:<10} {d['puts']:>6} put, {d['put_bytes'] / 1e6:>7.1f} MB, "
                  f"{d['unchanged']:>6} unchanged, {d['deleted']:>3} deleted, {d['foreign']} foreign"
                  + (f"; {d['error']}" if d["error"] else ""))
        return said


def simulate(exe, cut, scale, file, seed=1, sidecar=True):
    subprocess.run([exe, "simulate", "--cut", str(cut), "--seed", str(seed), "--scale", scale, "-o", file,
                    *["--sidecar"][:sidecar]], check=True, stdout=subprocess.DEVNULL)
    return file


def enlarge(package, name, size):
    """Adds an entry of so many MiB, of which each begins with chance, so that no two are equal."""
    entry = zipfile.ZipInfo(name, (2026, 6, 1, 8, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(package, "a") as z:
        with z.open(entry, "w") as f:
            for _ in range(size):
                f.write(os.urandom(64 << 10) + b"0123456789abcdef" * (60 << 10))


def members(package):
    have = {}
    with zipfile.ZipFile(package) as z:
        for i in z.infolist():
            if not i.is_dir():
                with z.open(i) as f:
                    have[i.filename] = hashlib.file_digest(f, "sha256").hexdigest()
    return have


def cache_of(key):
    if key.endswith(".html"):
        return "entry"
    if re.search(r"[.-]([0-9a-f]{8,}|[A-Z0-9]{8})\.[^./]+$", key):
        return "asset"
    return "data"


def differences(have, want, theirs=()):
    """Names and bytes both ways, and the headers; theirs: foreign keys that must be there untouched."""
    have = {k: v for k, v in have.items() if not k.startswith(".difusor/") and k not in theirs}
    bad = sorted(set(have) ^ set(want)) + [k for k in want if k in have and have[k]["sha256"] != want[k]]
    for k, o in have.items():
        extension = k.rsplit(".", 1)[-1].lower()
        if extension in TYPES and o["type"] not in (TYPES[extension], TYPES[extension] + "; charset=utf-8"):
            bad.append(f"{k}: Content-Type {o['type']}")
        if o.get("encoding"):
            bad.append(f"{k}: Content-Encoding {o['encoding']}")
        immutable = "immutable" in (o["cache"] or "")
        if immutable != (cache_of(k) == "asset") or "max-age=" not in (o["cache"] or ""):
            bad.append(f"{k}: Cache-Control {o['cache']}")
        if (o["meta"] or {}).get("sha256") != o["sha256"]:
            bad.append(f"{k}: metadata {o['meta']}")
    return len(have), bad


def compare(name, have, want, theirs=()):
    for key in theirs:
        precious = hashlib.sha256(f"precious {key}".encode()).hexdigest()
        expect(f"somebody's {key} at {name}", have.get(key, {}).get("sha256"), precious)
    n, bad = differences(have, want, theirs)
    print(f"  {name}: {n} objects read back, {len(bad)} differences")
    expect(f"differences at {name}", bad[:5], [])


def folder_of(folder):
    have = {}
    for top, _, names in os.walk(folder):
        for n in names:
            with open(os.path.join(top, n), "rb") as f:
                have[os.path.relpath(os.path.join(top, n), folder)] = hashlib.file_digest(f, "sha256").hexdigest()
    return have


def compare_folder(folder, want):
    have = folder_of(folder)
    print(f"  folder: {len(have)} files read back")
    expect("the folder", have == want, True)


def compare_all(clouds, w, package, theirs=()):
    """theirs: keys that a stranger has put into S3 and Azure."""
    want = members(package)
    for c in clouds:
        compare(c.name, c.read(), want, theirs if c.name != "gcs" else ())
    compare_folder(w + "/folder", want)


def quoted(path):
    """As browsers send it: what RFC 3986 lets stand in a path stays."""
    return urllib.parse.quote(path, safe="/!$&'()*+,;=:@~")


class Cuts:
    """What each cut holds; in order."""

    def __init__(self):
        self.members, self.hour, self.database = [], [], []

    def add(self, package):
        have = members(package)
        self.members.append(have)
        with zipfile.ZipFile(package) as z:
            self.hour.append(json.loads(z.read("assets/presidencia/avanceNacional.json"))["ultimoCorte"]["hora"])
        self.database.append(next(k for k in have if re.search(r"_PREP\.zip$", k)))

    def of(self, path, body):
        """The cuts that have these bytes there."""
        sha = hashlib.sha256(body).hexdigest()
        return [i for i, m in enumerate(self.members) if m.get(path) == sha]


class Reader(threading.Thread):
    """One person's program at one cache."""

    headers = {}

    def __init__(self, name, address, port, cuts, seed):
        super().__init__(daemon=True)
        self.label, self.address, self.port, self.cuts, self.chance = name, address, port, cuts, random.Random(seed)
        self.counts, self.wrong = collections.Counter(), []
        self.newest, self.seen = {}, {}  # per path: the oldest cut it can have been; per cut: when first met
        self.over = threading.Event()
        self.http = None

    def get(self, path):
        for _ in (1, 2):  # a kept connection may have been closed
            try:
                self.http = self.http or http.client.HTTPConnection(self.address, self.port, timeout=20)
                self.http.request("GET", "/" + quoted(path), headers=self.headers)
                r = self.http.getresponse()
                self.counts["requests"] += 1
                return r.status, r.read()
            except (http.client.HTTPException, OSError):
                self.http = None
        return 0, b""

    def refused(self, path, status, at_least=0):
        """What the page needs is not there."""
        self.fail(f"{path or 'the entry page'}: {status}, cut {at_least} has it")

    def fail(self, text):
        self.counts["inconsistencies"] += 1
        if len(self.wrong) < 5:
            self.wrong.append(f"{self.label}: {text}")

    def meet(self, path, at_least=0):
        """Gets a path and returns the cuts it may be of; [] where something was wrong. at_least: the cut that names it."""
        status, body = self.get(path)
        if status != 200:
            self.refused(path, status, at_least)
            return []
        key = path or "index.html"
        cuts = self.cuts.of(key, body)
        if not cuts:
            self.fail(f"{path}: bytes of no cut")
        elif cuts[-1] < at_least:
            self.fail(f"{path}: of cut {cuts[-1]}, under a page of cut {at_least}")
        elif cuts[-1] < self.newest.get(key, 0):
            self.fail(f"{path}: of cut {cuts[-1]}, was of cut {self.newest[key]} before")
        else:
            self.newest[key] = max(cuts[0], self.newest.get(key, 0))
            return cuts
        return []

    def follow(self):
        """One page and what it needs."""
        status, page = self.get("")
        if status != 200:
            self.refused("", status)
            return
        if b"<base" not in page or not self.cuts.of("index.html", page):
            self.fail("the entry page: bytes of no cut")
            return
        for name in self.chance.sample(re.findall(r'(?:src|href)="([^"/][^"]*)"', page.decode()), 2):
            self.meet(name)
        names = [k for k in self.cuts.members[0] if AGGREGATE.match(k)]
        cuts = self.meet(self.chance.choice(names))
        if not cuts:
            return
        least = cuts[0]
        self.seen.setdefault(least, time.monotonic())
        self.met(cuts)
        details = [k for k in self.cuts.members[least] if "/entidad/" in k]
        for name in self.chance.sample(details, min(4, len(details))):
            self.meet(name, least)
        self.meet(self.cuts.database[least], least)
        self.counts["pages"] += 1

    def met(self, cuts):
        """The cuts that an aggregate may be of."""

    def run(self):
        while not self.over.wait(0.01):
            self.follow()


class Edge:
    """A real cache before a cloud, which anybody may read from now on."""

    def __init__(self, cloud, w, address="127.0.0.1", port=None):
        self.cloud, self.kind, self.address = cloud, CACHES[cloud.name], address
        self.folder, self.port = f"{w}/cache-{self.kind}", port or free_port(2)
        self.url = f"http://{address}:{self.port}/"
        env = dict(os.environ, NODE_EXTRA_CA_CERTS=cloud.ca + "/ca.pem", NODE_NO_WARNINGS="1")
        self.origin = subprocess.run(["node", READERS + "/open.mjs", cloud.folder + ".ini"], stdout=subprocess.PIPE, text=True,
                                     env=env, check=True).stdout.strip()
        self.start()

    def start(self):
        subprocess.run([HERE + "/servers/caches", "start", self.folder, self.cloud.ca, self.kind, f"{self.address}:{self.port}",
                        self.origin], check=True)

    def stop(self):
        subprocess.run([HERE + "/servers/caches", "stop", self.folder])

    def sections(self, purges, more=""):
        cdn = f"[cdn {self.kind}]\nplugin = http-purge\nservers = {self.url}\nplain = yes\nsite = {self.address}:{self.port}\n"
        cdn += {"varnish": "ban = yes\n", "nginx": "method = GET\nlocation = /purge\n"}[self.kind]
        return section(self.cloud.name, self.cloud.ini, f"public_url = {self.url}\n{more}" +
                       (f"cdn = {self.kind}\n\n{cdn}" if purges else ""))

    def get_all(self, cuts, which):
        """What readers get of every entry of that cut: how many are of it, older, or not there."""
        reader, count = Reader(self.kind, self.address, self.port, cuts, 0), collections.Counter()
        for path in cuts.members[which]:
            status, body = reader.get(path)
            count["same" if which in cuts.of(path, body) else "stale" if cuts.of(path, body) else str(status)] += 1
        return count


def install_readers():
    os.makedirs(READERS, exist_ok=True)
    if not all(os.path.isdir(f"{READERS}/node_modules/{p.rsplit('@', 1)[0]}") for p in PACKAGES):
        subprocess.run(["npm", "install", "--prefix", READERS, "--no-audit", "--no-fund", "--silent", *PACKAGES], check=True)
    for name in ("read.mjs", "open.mjs"):
        shutil.copy(f"{HERE}/readers/{name}", READERS)


@contextlib.contextmanager
def stage(name, servers=CLOUDS):
    """A scratch folder and the running servers: (w, clouds). All is gone afterwards."""
    install_readers()
    w = tempfile.mkdtemp(prefix=f"difusor-{name}-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    clouds = []
    try:
        subprocess.run([HERE + "/servers/ca", w + "/ca"], check=True, stdout=subprocess.DEVNULL)
        for server in servers:
            clouds.append(Cloud(server, w))
        yield w, clouds
    finally:
        for c in clouds:
            c.stop()
        shutil.rmtree(w, ignore_errors=True)


def verdict():
    """The last line, and the exit code."""
    print(f"{len(failures)} failures" if failures else "zero differences")
    return 1 if failures else 0
