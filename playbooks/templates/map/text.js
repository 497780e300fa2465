// SPDX-License-Identifier: GPL-3.0-or-later
// Values from hosts: of any type, and any text. What follows reads them, and makes elements of them.

const list = (value) => (Array.isArray(value) ? value : []);
const dict = (value) =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};

function text(value) {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// What the eye would follow instead of reading it: controls, marks of direction, what has no width, half characters.
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

function visible(value) {
  return value.replace(UNSEEN, (each) => `\\u{${each.codePointAt(0).toString(16)}}`);
}

// An element with these attributes. What is text among its children stays text.
function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  for (const child of children.flat(2)) {
    if (child !== null) made.append(child instanceof Node ? child : visible(child));
  }
  return made;
}

const code = (...children) => make("code", {}, ...children);
const muted = (...children) => make("span", { class: "muted" }, ...children);

// The elements with this between them.
function joined(elements, between) {
  return elements.flatMap((each, at) => (at ? [between, each] : [each]));
}

// As a word for a shell: a command is there to be copied.
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

const command = (...words) => make("code", { class: "command" }, words.map(quoted).join(" "));

const digits = new Intl.NumberFormat("en");
const grouped = (number) => digits.format(number);

function counted(number, one, many = `${one}s`) {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}

function once(makes) {
  let made;
  return () => (made ??= makes());
}

const collator = new Intl.Collator("en", { numeric: true });
const byText = (one, other) => collator.compare(one, other);

// The list that a Map has under this key, made where there is none.
function under(map, key) {
  if (!map.has(key)) map.set(key, []);
  return map.get(key);
}
