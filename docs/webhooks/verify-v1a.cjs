// Verifies `v1a` (Ed25519) by the endpoint's public key, with nothing but what comes with Node.js.
const crypto = require("crypto");

function verify(publicKey, headers, body, nowSeconds = Date.now() / 1000) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(nowSeconds - Number(timestamp)) <= 300)) return false;
  const raw = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64");
  const jwk = { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") };
  const key = crypto.createPublicKey({ key: jwk, format: "jwk" });
  const signed = Buffer.from(`${id}.${timestamp}.${body}`);
  return headers["webhook-signature"].split(" ").some((entry) => {
    const [version, signature] = entry.split(",");
    return version === "v1a" && crypto.verify(null, signed, key, Buffer.from(signature || "", "base64"));
  });
}

for (const { public_key, headers, body } of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  console.log(verify(public_key, headers, body) ? "genuine" : "refused");
}
