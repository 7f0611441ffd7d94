// Takes a callback as Node's programs do: by npm's standardwebhooks, and by a JWK with Node alone.
import { createPublicKey, verify } from "node:crypto";
import { text } from "node:stream/consumers";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { headers, body, secrets, jwks } = JSON.parse(await text(process.stdin));

function taken(given, secret) {
  try {
    return new Webhook(secret).verify(given, headers).id;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return error.message;
    throw error;
  }
}

function isSigned(given, jwk) {
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${given}`);
  return headers["webhook-signature"]
    .split(" ")
    .map((each) => each.split(","))
    .some(([kind, signature]) => kind === "v1a" && verify(null, content, key, Buffer.from(signature, "base64")));
}

const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
console.log(
  JSON.stringify({
    taken: secrets.map((secret) => taken(body, secret)),
    changed: secrets.map((secret) => taken(`${body} `, secret)),
    isSigned: jwks.keys.map((jwk) => isSigned(body, jwk)),
    isChangedSigned: jwks.keys.map((jwk) => isSigned(`${body} `, jwk)),
    signature: new Webhook(secrets[0]).sign(headers["webhook-id"], at, body),
  }),
);
