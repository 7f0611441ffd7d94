/* The operations as /openapi.json declares them. */

import { ask } from "./api.js";

const METHODS = ["get", "put", "post", "delete", "patch"];
const ARGUMENT_PLACES = ["path", "query", "header"];
const OPTION_HEADERS = /^(prefer|idempotency-key|task-.*)$/i;

/** All of them, by their names; raises ProblemError where the document is not served. */
export async function declaredOperations(signal) {
  const document = await ask("/openapi.json", { signal });
  const found = Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]?.tags?.includes("operations")).map((method) =>
      declared(document, path, method, item[method]),
    ),
  );
  return new Map(found.map((operation) => [operation.name, operation]));
}

function declared(document, path, method, { operationId, summary, description, parameters, requestBody }) {
  const content = requestBody?.content ?? {};
  const json = content["application/json"];
  return {
    name: operationId,
    method: method.toUpperCase(),
    path,
    summary,
    description: description === summary ? "" : description,
    parameters: parameters
      .filter((each) => ARGUMENT_PLACES.includes(each.in) && !OPTION_HEADERS.test(each.name))
      .map((each) => ({ ...each, schema: resolved(document, each.schema ?? {}) })),
    schema: json ? resolved(document, json.schema) : null,
    contentTypes: json ? [] : Object.keys(content),
  };
}

/** A schema without references to components; one that leads into itself keeps that. */
function resolved(document, schema, within = []) {
  if (Array.isArray(schema)) return schema.map((each) => resolved(document, each, within));
  if (schema === null || typeof schema !== "object") return schema;
  const { $ref: reference, ...others } = schema;
  if (typeof reference === "string" && reference.startsWith("#/") && !within.includes(reference)) {
    const target = at(document, reference);
    if (target !== undefined) return { ...resolved(document, target, [...within, reference]), ...others };
  }
  const entries = Object.entries(schema).map(([key, value]) => [key, resolved(document, value, within)]);
  return Object.fromEntries(entries);
}

function at(document, reference) {
  const keys = reference.slice(2).split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  return keys.reduce((value, key) => value?.[key], document);
}
