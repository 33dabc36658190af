// Verifies `v1` with nothing but what comes with Node.js.
const crypto = require("crypto");

function verify(secret, headers, body, nowSeconds = Date.now() / 1000) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(nowSeconds - Number(timestamp)) <= 300)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const wanted = crypto.createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return headers["webhook-signature"].split(" ").some((entry) => {
    const [version, signature] = entry.split(",");
    const given = Buffer.from(signature || "", "base64");
    return version === "v1" && given.length === wanted.length && crypto.timingSafeEqual(given, wanted);
  });
}

for (const { secret, headers, body } of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  console.log(verify(secret, headers, body) ? "genuine" : "refused");
}
