/* A value that a JSON Schema may describe, for somebody to start from. */

const DEEPEST = 6;
const TEXTS = {
  date: "2026-01-31",
  "date-time": "2026-01-31T12:00:00Z",
  email: "ann@example.com",
  uri: "https://example.com/",
  uuid: "8e03978e-40d5-43e8-bc93-6894a57f9324",
};

/** What it gives as an example, else something of its type; of objects what is required or simple. */
export function exampleOf(schema, depth = 0) {
  if (schema === true || schema === undefined || depth > DEEPEST) return null;
  for (const given of [schema.examples?.[0], schema.example, schema.default, schema.const]) {
    if (given !== undefined) return given;
  }
  if (schema.enum?.length > 0) return schema.enum[0];
  const [choice] = schema.oneOf ?? schema.anyOf ?? schema.allOf ?? [];
  if (choice !== undefined && schema.properties === undefined) return exampleOf(choice, depth + 1);
  return byType(schema, depth);
}

function byType(schema, depth) {
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type ?? (schema.properties ? "object" : "string")) {
    case "object":
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([name, { writeOnly }]) => !writeOnly || schema.required?.includes(name))
          .map(([name, part]) => [name, exampleOf(part, depth + 1)]),
      );
    case "array":
      return schema.minItems > 0 ? [exampleOf(schema.items, depth + 1)] : [];
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "boolean":
      return false;
    case "null":
      return null;
    default:
      return TEXTS[schema.format] ?? "text".padEnd(schema.minLength ?? 0, "t");
  }
}
