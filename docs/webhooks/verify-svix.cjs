// Verifies deliveries with the library `svix` (npm). Reads a JSON list from standard input:
// [{secret, headers, body}], and says of each whether it is genuine.
const { Webhook } = require("svix");

for (const { secret, headers, body } of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  try {
    new Webhook(secret).verify(body, headers);
    console.log("genuine");
  } catch {
    console.log("refused");
  }
}
