// SPDX-License-Identifier: GPL-3.0-or-later
// One namespace, and one host, with all that is known.

function problemLine({ rank, title, reason, todo }, host) {
  return make(
    "li",
    {},
    badge(RANKS[rank]),
    " ",
    make("strong", {}, title),
    reason ? make("p", { class: "reason" }, reason) : null,
    make("p", { class: "todo" }, todo(host.name)),
  );
}

function problemLines(problems, host) {
  const sorted = [...new Set(problems)].sort((one, other) => one.rank - other.rank);
  return make(
    "ul",
    { class: "problems" },
    sorted.map((each) => problemLine(each, host)),
  );
}

// Terms and what they are, without those of which nothing is known.
function terms(entries) {
  return make(
    "dl",
    {},
    entries
      .filter(([, value]) => value && value.length !== 0)
      .flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]),
  );
}

function detailsOf(found) {
  const { host, name, mounts, links, services, processes, definition, differing } = found;
  const others = differing.filter(({ what }) => OTHERS.has(what));
  return make(
    "div",
    { class: "body" },
    found.problems.length ? problemLines(found.problems, host) : null,
    terms([
      ["Reason", found.problems.length ? "" : found.reason],
      ["Root", found.root && found.root !== "/" ? code(found.root) : "that of the host"],
      ["Made of", found.generation ? generationLines(found.generation) : ""],
      ["At boot", found.persistent ? "comes back" : "does not come back"],
      ["Shares", sharingLines(found)],
      ["Link to this", make("a", { href: `#${found.address}` }, `#${found.address}`)],
    ]),
    table("Kinds", ["Kind", "Whose", "Id", "Pin"], kindRows(found)),
    services.length ? serviceTable(found) : null,
    mounts.length ? differenceTable("Mounts", "Path", mounts) : null,
    links.length ? linkTable(host, links) : null,
    others.length ? otherTable(others) : null,
    processes.length
      ? fold("more", counted(processes.length, "process", "processes"), () =>
          processTable(processes),
        )
      : null,
    definition !== null
      ? fold("more", `Definition of ${name}, without secrets`, () =>
          make("pre", {}, JSON.stringify(definition, null, 2)),
        )
      : null,
  );
}

function generationLines({ number, source, digest, failed, before }) {
  const line = (each) => [
    `generation ${each.number}: `,
    code(each.source || "not known"),
    " ",
    each.digest ? code(each.digest) : null,
  ];
  return [
    make("p", {}, line({ number, source, digest })),
    failed ? make("p", {}, `The one tried last does not serve: ${failed}`) : null,
    ...before.map((each) => make("p", { class: "muted" }, "kept: ", line(each))),
  ];
}

// Whose each kind is that it has in common with others, and who these are.
function sharingLines(found) {
  return found.kinds.flatMap((kind) => {
    const is = identityOf(found, kind);
    const others = found.host.namespaces.filter(
      (each) => each !== found && each.kinds.some((its) => identityOf(each, its) === is),
    );
    if (!others.length && !kind.sharedWith) return [];
    const whose = kind.sharedWith ? ["that of ", named(found.host, kind.sharedWith)] : ["its own"];
    const rest = others
      .filter(({ name }) => name !== kind.sharedWith)
      .map(({ name }) => named(found.host, name));
    return [
      make(
        "p",
        {},
        code(kind.kind),
        ": ",
        whose,
        rest.length ? [", with ", ...joined(rest, ", ")] : [],
      ),
    ];
  });
}

function kindRows({ host, kinds }) {
  const there = new Set(kinds.map(({ kind }) => kind));
  const ofHost = KINDS.filter((kind) => !there.has(kind));
  const rows = kinds.map(({ kind, id, path, sharedWith }) => [
    code(kind),
    sharedWith ? ["that of ", named(host, sharedWith)] : "its own",
    code(id),
    code(path),
  ]);
  if (ofHost.length)
    rows.push([
      joined(
        ofHost.map((kind) => code(kind)),
        " ",
      ),
      muted("that of the host"),
      "",
      "",
    ]);
  return rows;
}

function serviceTable({ services }) {
  return table(
    "Services",
    ["State", "Service", "Pid", "Restarts", "Ended last", "At boot", "Kept by"],
    services.map((each) => [
      [badge(each.state), each.reason ? make("p", { class: "reason" }, each.reason) : null],
      code(each.name),
      each.pid,
      grouped(each.restarts),
      each.ended || "-",
      each.enabled ? "starts" : "-",
      each.supervisor,
    ]),
  );
}

function differenceTable(caption, heading, rows) {
  return table(
    caption,
    ["State", heading, "Is", "Is to be", "Remark"],
    rows.map((each) => [
      badge(each.state),
      code(each.name),
      observedOf(each),
      wantedOf(each),
      each.remark,
    ]),
  );
}

// Files and services, of which there is no more to say than how they differ.
function otherTable(rows) {
  return table(
    "Files and services that differ",
    ["State", "What", "Which", "To do"],
    rows.map((each) => [badge(each.state), each.what, code(each.name), each.remark]),
  );
}

const observedOf = ({ observed }) => (observed ? code(observed) : "-");
const wantedOf = ({ wanted }) => (wanted ? code(wanted) : "-");

function linkTable(host, links) {
  return table(
    "Interfaces",
    ["State", "Interface", "Other end", "Is", "Is to be"],
    links.map((each) => [
      badge(each.state),
      code(each.name),
      otherEnd(host, each.peer),
      observedOf(each),
      wantedOf(each),
    ]),
  );
}

function otherEnd(host, peer) {
  if (!peer) return "-";
  return [
    code(peer.name),
    peer.namespace ? [" in ", named(host, peer.namespace)] : " on the host",
  ].flat();
}

function processTable(processes) {
  return table(
    "Processes",
    ["Pid", "User", "Command"],
    processes.map((each) => [text(each.pid), text(each.uid), code(text(each.command))]),
  );
}

function hostFacts({ about, checks, unnamed }) {
  const { os, kernel, machine, python, cgroup } = about;
  const words = [
    os,
    kernel && `Linux ${text(kernel)}`,
    machine,
    python && `Python ${text(python)}`,
    cgroup && `cgroups ${text(cgroup)}`,
  ];
  return [
    make("p", { class: "muted" }, words.filter(Boolean).map(text).join(" · ")),
    checks.length
      ? fold(
          "more",
          counted(checks.length, "thing that the host lacks", "things that the host lacks"),
          () => checkTable(checks),
        )
      : null,
    unnamed.length
      ? fold(
          "more",
          counted(unnamed.length, "namespace without a name", "namespaces without a name"),
          () => unnamedTable(unnamed),
        )
      : null,
  ].filter(Boolean);
}

function checkTable(checks) {
  return table(
    "What the host lacks",
    ["State", "What", "Found", "Needed for", "What helps"],
    checks.map((each) => [
      badge(text(each.state)),
      ...[each.name, each.found, each.needed_for, each.remedy].map(text),
    ]),
  );
}

function unnamedTable(unnamed) {
  return table(
    "Namespaces without a name",
    ["Kind", "Id", "Processes", "First process", "User", "Pins"],
    unnamed.map((each) => [
      code(text(each.kind)),
      code(text(each.id)),
      text(each.processes),
      [text(each.pid), " ", code(text(each.command))],
      text(each.user),
      list(each.pins).map(text).join(", "),
    ]),
  );
}
