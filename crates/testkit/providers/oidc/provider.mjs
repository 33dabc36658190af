// A certified OpenID provider for tests. Orders come as lines of JSON on stdin, each is answered by a
// line on stdout. Grants and sessions live as long as the process, keys can be changed under them.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

let configured;
let keys = [newKey()];
let handler = (_, answer) => answer.writeHead(503).end();

const server = createServer((request, answer) => handler(request, answer));
server.listen(0, '127.0.0.1', () => say({ issuer: issuer() }));

function issuer() {
  return `http://127.0.0.1:${server.address().port}`;
}

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = `k${process.hrtime.bigint()}`;
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

function configure({ clients, accounts, claims_in_id_token }) {
  configured = { clients, accounts, claims_in_id_token };
  const provider = new Provider(issuer(), {
    clients,
    jwks: { keys },
    cookies: { keys: ['only for tests'] },
    claims: {
      openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'],
    },
    conformIdTokenClaims: !claims_in_id_token,
    features: { backchannelLogout: { enabled: true } },
    // Its own guard against inner networks would keep it from telling us of a logout.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    findAccount: (_, id) => accounts[id] && {
      accountId: id,
      claims: () => ({ sub: id, ...accounts[id] }),
    },
  });
  provider.on('backchannel.error', (_, error) => console.error(error));
  provider.on('server_error', (_, error) => console.error(error));
  handler = provider.callback();
  return {};
}

const orders = {
  configure,
  // `keep` publishes the old keys too, as a provider does that rotates in time.
  rotate({ keep }) {
    keys = [newKey(), ...(keep ? keys : [])];
    return configure(configured);
  },
};

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { order, ...details } = JSON.parse(line);
    try {
      say(orders[order](details));
    } catch (error) {
      say({ error: String(error) });
    }
  })
  .on('close', () => process.exit(0));
