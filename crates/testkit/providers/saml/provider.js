// An identity provider for tests: `saml-idp`, on a port that the system chooses. Its options come as
// JSON; key and certificate are paths. It prints one line of JSON when it is ready.
const http = require('http');
const listen = http.Server.prototype.listen;
http.Server.prototype.listen = function (port, host, ready) {
  return listen.call(this, port, host, () => {
    process.stdout.write(JSON.stringify({ port: this.address().port }) + '\n');
    if (ready) ready();
  });
};
const options = JSON.parse(process.argv[2]);
// It has no option for the cipher, and its own is an old one.
const samlp = require('samlp');
const { auth } = samlp;
const { encryptionAlgorithm } = options;
if (encryptionAlgorithm) samlp.auth = (given) => auth({ ...given, encryptionAlgorithm });
const { runServer } = require('saml-idp');
options.config = require('saml-idp/config.js');
Object.assign(options.config.user, options.user);
runServer({ ...options, host: '127.0.0.1', port: 0 });
