"use strict";
// Renders /openapi.json. Text is only ever set as text: nothing in a description can become markup.
// One element. Attributes that are functions listen; false ones are left out.
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined)
      element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
};
// The little of Markdown that descriptions use: paragraphs, code, bold, links within this site.
const prose = (text = "") =>
  text.split("\n\n").map((paragraph) => {
    const block = make("p");
    for (const part of paragraph.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\(\/[^)]*\))/)) {
      const link = part.match(/^\[([^\]]+)\]\((\/[^)]*)\)$/);
      if (link) block.append(make("a", { href: link[2] }, link[1]));
      else if (part.startsWith("`") && part.endsWith("`") && part.length > 1)
        block.append(make("code", {}, part.slice(1, -1)));
      else if (part.startsWith("**")) block.append(make("strong", {}, part.slice(2, -2)));
      else block.append(part);
    }
    return block;
  });
// The whole document, once it is here.
let api;
// What a reference stands for; bounded, for a document may be wrong.
const resolve = (value) => {
  for (let hops = 0; value && value.$ref && hops < 16; hops += 1) {
    value = value.$ref
      .slice(2)
      .split("/")
      .reduce((inner, name) => inner && inner[name], api);
  }
  return value || {};
};
// The name a reader knows the type by: that of its component, else its JSON type.
const typeName = (schema) => {
  const reference = schema.$ref && schema.$ref.split("/").pop();
  const full = resolve(schema);
  if (full.enum) return full.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (full.oneOf || full.anyOf)
    return [...new Set((full.oneOf || full.anyOf).map(typeName))].join(" | ");
  const types = [].concat(full.type || []);
  if (types.includes("array")) return `array of ${typeName(full.items || {})}`;
  return reference || [types.join(" | ") || "any", full.format].filter(Boolean).join(" ");
};
// The bounds that are enforced, in words.
const limits = (schema) => {
  const full = resolve(schema);
  const names = {
    minLength: "min length",
    maxLength: "max length",
    minimum: "min",
    maximum: "max",
    minItems: "min items",
    maxItems: "max items",
    pattern: "pattern",
    default: "default",
  };
  return Object.entries(names)
    .filter(([key]) => full[key] !== undefined)
    .map(([key, label]) => `${label} ${full[key]}`)
    .join(", ");
};
// An object that is put together from several schemas is shown as one.
const members = (schema) => {
  const full = resolve(schema);
  const merged = { properties: { ...full.properties }, required: [...(full.required || [])] };
  for (const part of full.allOf || []) {
    const inner = members(part);
    Object.assign(merged.properties, inner.properties);
    merged.required.push(...inner.required);
  }
  return merged;
};
// The members of a schema and theirs, as far as anybody reads.
const tree = (schema, depth = 0) => {
  const full = resolve(schema);
  if (depth > 5) return undefined;
  if (full.items) return tree(full.items, depth);
  const alternatives = (full.oneOf || full.anyOf || []).filter(
    (one) => resolve(one).type !== "null",
  );
  if (alternatives.length > 1)
    return make(
      "ul",
      { class: "fields" },
      ...alternatives.map((one) =>
        make(
          "li",
          {},
          make("span", { class: "soft" }, "either "),
          make("code", {}, typeName(one)),
          tree(one, depth + 1),
        ),
      ),
    );
  if (alternatives.length === 1) return tree(alternatives[0], depth);
  const { properties, required } = members(schema);
  const names = Object.keys(properties);
  if (!names.length) return undefined;
  return make(
    "ul",
    { class: "fields" },
    ...names.map((name) => {
      const inner = properties[name];
      return make(
        "li",
        {},
        make("code", {}, name),
        " ",
        make("span", { class: "soft mono" }, typeName(inner)),
        " ",
        required.includes(name) ? make("span", { class: "must" }, "required") : undefined,
        " ",
        make(
          "span",
          { class: "soft" },
          [resolve(inner).description, limits(inner)].filter(Boolean).join(" · "),
        ),
        tree(inner, depth + 1),
      );
    }),
  );
};
// A body to start from: examples where the document has them, plain values elsewhere.
const sample = (schema, depth = 0) => {
  const full = resolve(schema);
  if (schema.example !== undefined) return schema.example;
  if (full.example !== undefined) return full.example;
  if (full.examples && full.examples.length) return full.examples[0];
  if (full.default !== undefined) return full.default;
  if (full.enum) return full.enum[0];
  if (depth > 5) return null;
  if (full.oneOf || full.anyOf)
    return sample(
      (full.oneOf || full.anyOf).find((one) => resolve(one).type !== "null") || {},
      depth,
    );
  const type = [].concat(full.type || [])[0];
  if (type === "array") return [sample(full.items || {}, depth + 1)];
  if (type === "object" || full.allOf)
    return Object.fromEntries(
      Object.entries(members(schema).properties).map(([name, inner]) => [
        name,
        sample(inner, depth + 1),
      ]),
    );
  return (
    {
      string: full.format === "date-time" ? "2026-01-01T00:00:00Z" : "text",
      integer: full.minimum || 0,
      number: 0,
      boolean: false,
    }[type] ?? null
  );
};
const pretty = (value) => make("pre", {}, make("code", {}, JSON.stringify(value, null, 2)));
// The first media type of a body; there is one.
const content = (holder) => Object.entries((holder && holder.content) || {})[0];
// Shared by all forms and kept nowhere: leaving the page forgets it.
const bearer = make("input", {
  type: "password",
  autocomplete: "off",
  placeholder: "access token or API key",
  "aria-label": "Credential for trying",
});
// A form for one operation. The request goes to this server only: the policy of the page allows no
// other.
const tryIt = (method, path, operation) => {
  const parameters = (operation.parameters || []).map(resolve);
  const inputs = parameters.map((one) => [
    one,
    make("input", { placeholder: typeName(one.schema || {}) }),
  ]);
  const body = content(resolve(operation.requestBody));
  const area = body && make("textarea", { spellcheck: "false", "aria-label": "Body" });
  if (area) area.value = JSON.stringify(body[1].example ?? sample(body[1].schema || {}), null, 2);
  const output = make("div", { "aria-live": "polite" });
  const send = async () => {
    let target = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [one, input] of inputs) {
      if (one.in === "path")
        target = target.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (input.value && one.in === "query") query.append(one.name, input.value);
      else if (input.value && one.in === "header") headers[one.name] = input.value;
    }
    if (bearer.value) headers.Authorization = `Bearer ${bearer.value}`;
    if (area) headers["Content-Type"] = body[0];
    if ([...query].length) target += `?${query}`;
    const curl = [
      `curl -X ${method.toUpperCase()} '${location.origin}${target}'`,
      ...Object.entries(headers).map(
        ([name, value]) => `-H '${name}: ${name === "Authorization" ? "Bearer …" : value}'`,
      ),
      ...(area ? [`-d '${area.value.replace(/'/g, "'\\''")}'`] : []),
    ].join(" \\\n  ");
    output.replaceChildren(make("p", { class: "soft" }, "Waiting…"));
    try {
      const began = performance.now();
      const answer = await fetch(target, {
        method: method.toUpperCase(),
        headers,
        body: area ? area.value : undefined,
      });
      const text = await answer.text();
      let shown = text;
      try {
        shown = JSON.stringify(JSON.parse(text), null, 2);
      } catch {
        /* not JSON: shown as it is */
      }
      output.replaceChildren(
        make(
          "p",
          {},
          make("strong", {}, `${answer.status} ${answer.statusText}`),
          ` in ${Math.round(performance.now() - began)} ms`,
        ),
        make("pre", {}, make("code", {}, shown || "(no body)")),
        make(
          "details",
          {},
          make("summary", {}, "Headers"),
          make(
            "pre",
            {},
            make(
              "code",
              {},
              [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n"),
            ),
          ),
        ),
        make("h3", {}, "The same with curl"),
        make("pre", {}, make("code", {}, curl)),
      );
    } catch (error) {
      output.replaceChildren(
        make("p", {}, `No answer: ${error.message}. Is the server reachable?`),
      );
    }
  };
  return make(
    "div",
    { class: "try" },
    make("strong", {}, "Try it"),
    ...inputs.map(([one, input]) =>
      make("label", {}, make("span", {}, `${one.name} (${one.in})`), input),
    ),
    area && make("label", {}, make("span", {}, "body"), area),
    make("p", {}, make("button", { type: "button", onclick: send }, "Send")),
    output,
  );
};
// One operation; its inside is made when it is first opened, so that the page is there at once.
const show = (method, path, operation, id) => {
  const inside = make("div", { class: "inside" });
  const details = make(
    "details",
    { class: "operation", id },
    make(
      "summary",
      {},
      make("span", { class: `method ${method}` }, method),
      make("span", { class: "path" }, path),
      make("span", { class: "what" }, operation.summary || ""),
    ),
    inside,
  );
  details.addEventListener("toggle", () => {
    if (!details.open || inside.childElementCount) return;
    const open =
      operation.security &&
      (!operation.security.length || operation.security.some((one) => !Object.keys(one).length));
    inside.append(
      ...prose(operation.description || operation.summary),
      make("span", { class: "tag" }, open ? "no credential needed" : "needs a credential"),
    );
    const parameters = (operation.parameters || []).map(resolve);
    if (parameters.length)
      inside.append(
        make("h3", {}, "Parameters"),
        make(
          "table",
          {},
          make("tr", {}, ...["Name", "In", "Type", ""].map((name) => make("th", {}, name))),
          ...parameters.map((one) =>
            make(
              "tr",
              {},
              make(
                "td",
                {},
                make("code", {}, one.name),
                one.required ? make("span", { class: "must" }, " required") : "",
              ),
              make("td", {}, one.in),
              make("td", { class: "mono soft" }, typeName(one.schema || {})),
              make(
                "td",
                {},
                [one.description, limits(one.schema || {})].filter(Boolean).join(" · "),
              ),
            ),
          ),
        ),
      );
    const body = content(resolve(operation.requestBody));
    if (body)
      inside.append(
        make("h3", {}, `Body · ${body[0]}`),
        tree(body[1].schema || {}) || "",
        make("h3", {}, "Example"),
        pretty(body[1].example ?? sample(body[1].schema || {})),
      );
    inside.append(make("h3", {}, "Answers"));
    for (const [status, reference] of Object.entries(operation.responses || {})) {
      const answer = resolve(reference);
      const held = content(answer);
      const row = make(
        "details",
        {},
        make(
          "summary",
          {},
          make("strong", {}, status),
          " ",
          make("span", { class: "soft" }, answer.description || ""),
        ),
      );
      if (held)
        row.append(
          tree(held[1].schema || {}) || "",
          pretty(held[1].example ?? sample(held[1].schema || {})),
        );
      inside.append(row);
    }
    inside.append(tryIt(method, path, operation));
  });
  return details;
};
// Fetches the document and lists its operations by tag.
const start = async () => {
  const main = document.querySelector("main");
  const list = document.querySelector("#list");
  try {
    api = await (await fetch("/openapi.json")).json();
  } catch (error) {
    main.replaceChildren(make("p", {}, `The reference could not be loaded: ${error.message}`));
    return;
  }
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, operation]);
    }
  main.replaceChildren(
    make("h1", {}, api.info.title),
    make("p", { class: "soft" }, `Version ${api.info.version}`),
    ...prose(api.info.description),
    make("label", {}, make("span", {}, "Credential for trying (kept in this page only)"), bearer),
  );
  const links = [];
  for (const [tag, operations] of [...groups].sort(([a], [b]) => a.localeCompare(b))) {
    const heading = make("h4", {}, tag);
    list.append(heading);
    const title = make("h2", {}, tag.replaceAll("-", " "));
    main.append(title);
    for (const [method, path, operation] of operations) {
      const id = operation.operationId;
      const shown = show(method, path, operation, id);
      const link = make(
        "a",
        {
          href: `#${id}`,
          onclick: () => {
            shown.open = true;
          },
        },
        make("span", { class: `method ${method}` }, method),
        make("span", {}, path),
      );
      links.push([
        `${method} ${path} ${tag} ${operation.summary || ""}`.toLowerCase(),
        link,
        shown,
        [heading, title],
      ]);
      list.append(link);
      main.append(shown);
    }
  }
  document.querySelector("#find").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    const headings = new Map();
    for (const [text, link, shown, pair] of links) {
      const fits = text.includes(wanted);
      link.hidden = !fits;
      link.style.display = fits ? "" : "none";
      shown.hidden = !fits;
      for (const heading of pair) headings.set(heading, headings.get(heading) || fits);
    }
    for (const [heading, fits] of headings) heading.hidden = !fits;
  });
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) {
    target.open = true;
    target.scrollIntoView();
  }
};
start();
