// SPDX-License-Identifier: GPL-3.0-or-later
// What is wrong, and what to do about it. The same problem of many hosts is one.

const ERROR = 0;
const WARNING = 1;
const NOTE = 2;
const RANKS = ["error", "warning", "note"];
// A program that ended once some day and runs since is no problem.
const MANY_RESTARTS = 3;

class Problems {
  constructor() {
    this.found = new Map();
  }

  // `title` and `reason` tell it from others, but for what is a number of one host only.
  // `subject` has it: a host or a namespace. `note` is what is said of that one alone.
  // `todo` makes what says what to do, for hosts given as a pattern.
  add(rank, title, subject, { reason = "", note = "", todo }) {
    const key = [rank, title, reason.replace(/[0-9a-f]{8,}|\d{3,}/g, "#")].join("\0");
    if (!this.found.has(key)) {
      this.found.set(key, { rank, title, reason, todo, subjects: [], number: this.found.size });
    }
    const problem = this.found.get(key);
    problem.subjects.push({ subject, note });
    subject.problems.push(problem);
    if (subject.host) subject.host.problems.push(problem);
  }

  sorted() {
    return [...this.found.values()].sort(
      (one, other) =>
        one.rank - other.rank ||
        other.subjects.length - one.subjects.length ||
        one.number - other.number,
    );
  }
}

function problemsOf(hosts, roots, namespaces) {
  const problems = new Problems();
  for (const host of hosts) {
    ofHost(problems, host);
    for (const each of host.namespaces) {
      ofNamespace(problems, each);
      for (const service of each.services) ofService(problems, each, service);
    }
    for (const check of host.checks) ofCheck(problems, host, check);
  }
  ofRoots(problems, roots, namespaces);
  return problems.sorted();
}

function ofHost(problems, host) {
  if (host.state === "unreachable") {
    problems.add(ERROR, "Host cannot be reached", host, {
      note: host.reason,
      todo: (where) => [
        command("ansible", where, "-m", "ansible.builtin.ping"),
        " tries to reach it. Then make this page again.",
      ],
    });
  } else if (host.state !== "ok") {
    problems.add(
      ERROR,
      host.state === "failed" ? "Host could not be looked at" : `Host was ${host.state}`,
      host,
      {
        reason: host.reason,
        todo: (where) => [
          command("ansible", where, "-m", "linux.namespaces.ns_info", "-vvv"),
          " says more.",
        ],
      },
    );
  }
}

const UP_REMEDIES = {
  failed: ERROR,
  partial: ERROR,
  // It may have been taken down on purpose.
  down: WARNING,
};

function ofNamespace(problems, found) {
  const { name, state, reason, generation } = found;
  if (Object.hasOwn(UP_REMEDIES, state) && (state !== "down" || found.persistent)) {
    problems.add(
      UP_REMEDIES[state],
      `${name} ${state === "failed" ? "has failed" : `is ${state}`}`,
      found,
      {
        reason,
        todo: () => [
          command("nsctl", "up", name),
          " completes it or says why not; ",
          command("nsctl", "show", name),
          " says what is there.",
        ],
      },
    );
  }
  if (generation?.failed) {
    problems.add(WARNING, `${name}: the root tried last does not serve`, found, {
      reason: generation.failed,
      todo: () => [
        "The one before serves on. Mend the root and run its play again; ",
        command("nsctl", "show", name),
        " says more.",
      ],
    });
  }
  if (found.differs && state === "up") {
    // What differs of the rest is what these changes are about.
    const rest = found.differing.filter(
      (each) => !found.changes.length || each.state === "surplus" || OTHERS.has(each.what),
    );
    problems.add(WARNING, `${name} differs from its definition`, found, {
      reason: [
        ...found.changes.map((each) => `to do: ${each}`),
        ...rest.map(({ name: what, state: how, remark }) => `${what}: ${remark || how}`),
      ].join("\n"),
      todo: () => remedyOfDifferences(found),
    });
  }
}

// That `nsctl up` leaves alone while it is up.
const OTHERS = new Set(["file", "service"]);

function remedyOfDifferences({ name, changes, differing }) {
  const surplus = differing.some(({ state }) => state === "surplus");
  return [
    ...(changes.length ? [command("nsctl", "up", name), " makes it as defined. "] : []),
    ...(differing.some(({ what }) => OTHERS.has(what))
      ? ["Its play has its files and services as defined. "]
      : []),
    ...(surplus
      ? ["What is surplus stays: unmount or remove it, or have it in the definition. "]
      : []),
    command("nsctl", "show", name),
    " shows both sides.",
  ];
}

function ofService(problems, found, service) {
  const { name } = found;
  const logs = () => [command("nsctl", "logs", name, service.name), " shows what it has written."];
  const reason = service.reason || service.ended;
  const title = `${service.name} of ${name}`;
  if (service.state === "failed") {
    problems.add(ERROR, `${title} has failed`, found, { reason, todo: logs });
  } else if (
    service.state === "stopped" &&
    found.state === "up" &&
    (service.enabled || found.lacking.includes(service.name))
  ) {
    problems.add(WARNING, `${title} does not run, though it is to`, found, {
      reason,
      todo: () => [command("nsctl", "up", name), " starts it; ", ...logs()],
    });
  }
  if (service.restarts >= MANY_RESTARTS && service.state !== "failed") {
    problems.add(WARNING, `${title} keeps ending`, found, {
      note: [`started again ${counted(service.restarts, "time")}`, service.ended]
        .filter(Boolean)
        .join(", "),
      todo: logs,
    });
  }
}

function ofCheck(problems, host, check) {
  const [name, state, found, neededFor] = [
    check.name,
    check.state,
    check.found,
    check.needed_for,
  ].map(text);
  // What no more than some uses need is in the details of the host.
  if (check.required !== true || state === "ok") return;
  problems.add(state === "missing" ? ERROR : WARNING, `Host lacks: ${name} (${state})`, host, {
    reason: [found, neededFor && `needed for ${neededFor}`].filter(Boolean).join("; "),
    todo: () => [text(check.remedy) || "Nothing is known that helps."],
  });
}

function ofRoots(problems, roots, namespaces) {
  const play = () => ["Run the play that defines it, for these hosts."];
  for (const { source, versions } of roots) {
    const counts = versions.map(
      ({ digest, members, verdict }) =>
        `${counted(members.length, "namespace")}: ${digest || "no digest"} (${verdict})`,
    );
    for (const { members, digest, verdict } of versions) {
      if (verdict === CURRENT) continue;
      const title = verdict === OLD ? `Old root of ${source}` : `Roots of ${source} differ`;
      for (const each of members) {
        problems.add(WARNING, title, each, {
          reason: counts.join("\n"),
          note: `${shortened(digest)}, generation ${each.generation.number}`,
          todo: play,
        });
      }
    }
  }
  for (const { name, members, verdicts: found } of namesOfSeveralSources(namespaces)) {
    for (const [source, those] of members) {
      if (found.get(source) === CURRENT) continue;
      for (const each of those) {
        problems.add(NOTE, `${name} has roots of several sources`, each, {
          reason: [...members]
            .map(([other, its]) => `${counted(its.length, "host")}: ${other}`)
            .join("\n"),
          note: source,
          todo: play,
        });
      }
    }
  }
}

// A digest as one reads it out.
function shortened(digest) {
  return digest.replace(/^(\w+:[0-9a-f]{12}).*/, "$1…") || "no digest";
}

// The worst of them; one more than all ranks where there is none.
function worst(problems) {
  return problems.reduce((rank, each) => Math.min(rank, each.rank), RANKS.length);
}
