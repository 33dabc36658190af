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
const { runServer } = require('saml-idp');
const options = JSON.parse(process.argv[2]);
options.config = require('saml-idp/config.js');
Object.assign(options.config.user, options.user);
runServer({ ...options, host: '127.0.0.1', port: 0 });
