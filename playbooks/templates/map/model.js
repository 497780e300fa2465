// SPDX-License-Identifier: GPL-3.0-or-later
// The data of the page, in a form that the rest relies on. Names are keys of Map, never of an object: one may be
// "__proto__".

const KINDS = ["mnt", "net", "pid", "user", "uts", "ipc", "cgroup", "time"];
// Of one that is down all is missing, which is no drift.
const LIVING = new Set(["up", "partial"]);
const STATES = ["failed", "partial", "down", "up"];
// Of a mount or an interface that is as its definition says.
const AS_WANTED = new Set(["ok", "left out"]);

// Where a root comes from, and the digest of that, of what is said of a generation.
function versionOf(madeOf) {
  const digest = /\b[a-z0-9]+:[0-9a-f]{32,}\b/.exec(madeOf)?.[0] ?? "";
  return { madeOf, digest, source: madeOf.replace(digest, "").trim() };
}

function generationOf(value) {
  if (value === null || value === undefined) return null;
  const { number, made_of: madeOf, failed, before } = dict(value);
  return {
    number: Number(number) || 0,
    ...versionOf(text(madeOf)),
    failed: text(failed),
    before: list(before).map((each) => ({
      number: Number(dict(each).number) || 0,
      ...versionOf(text(dict(each).made_of)),
    })),
  };
}

function kindOf([kind, value]) {
  const { id, path, shared_with: sharedWith } = dict(value);
  return { kind, id: text(id), path: text(path), sharedWith: text(sharedWith) };
}

// Which namespace of the kernel it is, on its host.
function identityOf({ name }, { kind, id, sharedWith }) {
  return `${kind} ${id || `of ${sharedWith || name}`}`;
}

function mountOf(value) {
  const { state, path, wanted, observed, remark } = dict(value);
  return {
    what: "mount",
    state: text(state),
    name: text(path),
    wanted: mountWords(wanted),
    observed: mountWords(observed),
    remark: text(remark),
  };
}

// As in a line of fstab(5), without where it is.
function mountWords(value) {
  const { src, fstype, root, opts, propagation } = dict(value);
  const options = [
    ...list(opts).map(text),
    propagation && propagation !== "private" ? text(propagation) : "",
  ];
  const words = [
    text(src),
    text(fstype),
    root && root !== "/" ? `at ${text(root)}` : "",
    options.filter(Boolean).join(","),
  ];
  return words.filter(Boolean).join(" ");
}

function linkOf(value) {
  const { state, name, wanted, observed, peer } = dict(value);
  return {
    what: "link",
    state: text(state),
    name: text(name),
    wanted: text(wanted),
    observed: text(observed),
    peer: peer ? { name: text(dict(peer).name), namespace: text(dict(peer).namespace) } : null,
  };
}

// A file, or a service, with which something is.
function otherOf(what, value) {
  const { path, name, state, changes } = dict(value);
  return {
    what,
    state: text(state),
    name: text(path ?? name),
    remark: list(changes).map(text).join("; "),
  };
}

function serviceOf(value) {
  const { name, state, pid, supervisor, enabled, restarts, reason, ended } = dict(value);
  const { at, result, status, words } = dict(ended);
  return {
    name: text(name),
    state: text(state),
    pid: text(pid),
    supervisor: text(supervisor),
    enabled: enabled === true,
    restarts: Number(restarts) || 0,
    reason: text(reason),
    ended: text(words) || [text(result), text(status), text(at)].filter(Boolean).join(" "),
  };
}

// What is only looked at when someone opens it, or searches, is not read before.
class Namespace {
  #found;
  #drift;

  constructor(host, value) {
    const found = dict(value);
    const drift = dict(found.drift);
    this.#found = found;
    this.#drift = drift;
    this.host = host;
    this.name = text(found.name);
    this.address = addressOf(this.name, host.name);
    this.state = text(found.state) || "unknown";
    this.reason = text(found.reason);
    this.persistent = found.persistent === true;
    this.root = text(found.root);
    this.generation = generationOf(found.generation);
    this.changes = list(drift.changes).map(text);
    this.services = list(found.services).map(serviceOf);
    this.differing = LIVING.has(this.state) ? differencesOf(drift) : [];
    this.differs = this.differing.length > 0 || (LIVING.has(this.state) && this.changes.length > 0);
    // The services with which something has to be done.
    this.lacking = list(drift.services).map((each) => text(dict(each).name));
    this.problems = [];
    this.haystack = null;
  }

  get definition() {
    return this.#found.definition ?? null;
  }

  get kinds() {
    return Object.entries(dict(this.#found.kinds))
      .map(kindOf)
      .sort((one, other) => kindRank(one) - kindRank(other));
  }

  get sharedBy() {
    return list(this.#found.shared_by).map(text);
  }

  get processes() {
    return list(this.#found.processes).map(dict);
  }

  get mounts() {
    return list(this.#drift.mounts).map(mountOf);
  }

  get links() {
    return list(this.#drift.links).map(linkOf);
  }
}

// What somebody or something has changed of one that lives. A service that does not run is a matter of its own.
function differencesOf({ mounts, links, files, services }) {
  const differing = (rows) => list(rows).filter((each) => !AS_WANTED.has(text(dict(each).state)));
  const changed = list(services).filter((each) => dict(each).state === "started");
  return [
    ...differing(mounts).map(mountOf),
    ...differing(links).map(linkOf),
    ...list(files).map((each) => otherOf("file", each)),
    ...changed.map((each) => otherOf("service", each)),
  ];
}

function kindRank({ kind }) {
  return (KINDS.indexOf(kind) + 99) % 99; // one that is not known is last
}

function hostOf(value) {
  const { name, state, reason, facts } = dict(value);
  const { namespaces, named, host: about } = dict(facts);
  const host = {
    name: text(name),
    state: text(state),
    reason: text(reason),
    about: dict(about),
    checks: list(dict(about).checks).map(dict),
    unnamed: list(namespaces).map(dict),
    problems: [],
    haystack: null,
  };
  host.address = addressOf("", host.name);
  host.namespaces = list(named).map((each) => new Namespace(host, each));
  return host;
}

// As in a link: NAME@HOST, and @HOST for a host.
function addressOf(name, host) {
  return [name, host].map((each) => encodeURIComponent(each.toWellFormed())).join("@");
}

function haystackOf(found) {
  if (found.haystack === null) {
    found.haystack = (found.namespaces ? wordsOfHost(found) : wordsOfNamespace(found))
      .join("\n")
      .toLowerCase();
  }
  return found.haystack;
}

function wordsOfHost({ name, state, reason, about }) {
  return [name, state, reason, ...[about.hostname, about.os, about.kernel].map(text)];
}

function wordsOfNamespace(found) {
  const { host, generation } = found;
  const words = [
    `${found.name}@${host.name}`,
    found.state,
    found.reason,
    found.root,
    ...found.sharedBy,
    ...found.changes,
  ];
  if (generation) words.push(generation.madeOf, generation.failed);
  for (const { kind, id, sharedWith } of found.kinds) words.push(kind, id, sharedWith);
  for (const each of [...found.mounts, ...found.links])
    words.push(each.name, each.wanted, each.observed);
  for (const each of found.differing) words.push(each.name);
  for (const { peer } of found.links) if (peer) words.push(peer.name, peer.namespace);
  for (const { name, state, reason, ended } of found.services)
    words.push(name, state, reason, ended);
  for (const { command: line } of found.processes) words.push(text(line));
  return words;
}

function readData() {
  const { made, hosts } = dict(JSON.parse(document.getElementById("namespaces-data").textContent));
  return { made: text(made), hosts: list(hosts).map(hostOf) };
}
