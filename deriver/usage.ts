/** Help texts of the command line: one per command, each with an example. */

export const USAGE = `usage: keyferry COMMAND [options]

Runs the customer's side of Keyferry: the master secret, its keyrings, and the service that answers clients through a relay.

  init               make a tenant: master secret, authority key, CAs, trust document
  keyring create     make a keyring          keyring list   list them
  rotate             give a keyring a new version to encrypt with
  app-config         print what an app needs to start: public, no secret
  run                answer clients and keep relays up to date
  status             what is there, what is due, what is wrong
  client issue       certificate for a CSR   client list    client revoke
  crl import         take in a revocation list of your own CA
  trust show         the trust document in force
  inspect            say what any Keyferry file is, without any secret

Every command takes --dir DIR (default: $KEYFERRY_DIR or ./keyferry), --json where it prints, and --help.
Sealed keys open with --passphrase-file FILE, $KEYFERRY_PASSPHRASE, or a prompt.
Exit status: 0 done, 1 no, 2 wrong usage, 3 could not check.

example:
  keyferry init --org Acme --domain acme.example --relay https://relay.example
  keyferry keyring create notes
  keyferry run --invite CODE
`

export const HELP: Record<string, string> = {
  init: `usage: keyferry init --org NAME --domain DOMAIN [--relay URL]… [--origin URL]… [--algorithm p256|ed25519]
         [--head-lifetime SECONDS] [--anchor-clients PEM] [--anchor-derivers PEM] [--unsealed]

Makes a tenant in DIR and prints its id. Asks for a passphrase that seals every key file (Argon2id, AES-256-GCM);
--unsealed leaves them readable to whoever can read the files, and says so.
--relay     address of a relay; may be repeated          --origin  web origin that may call the relay
--anchor-…  certificates of your own CA for a role, in place of a built-in one

example: keyferry init --org Acme --domain acme.example --relay https://relay.example --origin https://app.acme.example
`,
  'keyring create': `usage: keyferry keyring create NAME [--rule URI]… [--kind recoverable|erasable] [--offline SECONDS] [--cryptoperiod SECONDS]

Makes a keyring that clients whose certificate URI matches a rule may have. A rule is a URI or ends in /*;
without one, every client of the tenant may. It reaches clients when 'keyferry run' is up.

example: keyferry keyring create notes --rule 'keyferry://client.acme.example/web/*'
`,
  'keyring list': `usage: keyferry keyring list [--json]

Lists keyrings with their version, generation and members.

example: keyferry keyring list
`,
  rotate: `usage: keyferry rotate NAME

Makes a new version of a keyring the one to encrypt with. Earlier versions go on decrypting.

example: keyferry rotate notes
`,
  'app-config': `usage: keyferry app-config [NAME…] [--relay URL]…

Prints the JSON that an app passes to connect(): tenant id, floor of the trust document, relays, keyrings (all, or those named).

example: keyferry app-config notes > keyferry.json
`,
  run: `usage: keyferry run [--relay URL]… [--invite CODE] [--heartbeat SECONDS] [--instance NAME] [--once] [--json]
         [--certificate PEM --key PEM]

Connects out to the relays, verifies and answers requests, enforces revocations, rotates what is due, signs heads.
Needs no open port. Stops on SIGINT or SIGTERM and goes on where it was. --once does what is due and ends.
--instance     name of this deriver in the certificate of the built-in CA, deriver-1 unless given
--invite       enrols the tenant at a relay that does not know it; the relay's operator gives the code (its INVITES)
--certificate  the deriver's certificate path from your own CA, with --key, its private key (PKCS#8)

example: keyferry run --invite CODE
`,
  status: `usage: keyferry status [--json]

Shows keyrings, devices, the last head at each relay, and what expires when. Exit status 1 if something is overdue.

example: keyferry status
`,
  'client issue': `usage: keyferry client issue --csr FILE --uri URI [--days N]

Issues a client certificate of the built-in CA for a CSR (PEM) and prints it. The URI is yours to decide, never the CSR's.

example: keyferry client issue --csr alice.csr --uri keyferry://client.acme.example/alice
`,
  'client list': `usage: keyferry client list [--json]

Lists devices that were given keys, and their keyrings.

example: keyferry client list
`,
  'client revoke': `usage: keyferry client revoke URI

Revokes every certificate in force of a client's URI and denies every key that ever had it, for good. The running service lists them in
the next CRL and re-keys every keyring the client was in.

example: keyferry client revoke keyferry://client.acme.example/alice
`,
  'crl import': `usage: keyferry crl import FILE… [--certificate PEM]

Takes in CRLs (PEM or DER) of a CA that the trust document anchors, or of an intermediate CA whose certificate --certificate names.
Their number must rise.

example: keyferry crl import root.crl issuing.crl --certificate issuing.pem
`,
  'trust show': `usage: keyferry trust show [--json]

Shows the trust document in force: number, hash, authority, anchors and rules per role.

example: keyferry trust show
`,
  inspect: `usage: keyferry inspect FILE [--json]

Says what a file is: signed document, bundle, manifest, welcome, tree object, certificate, CRL, app config or message, and what it
says. Needs no secret and checks no signature; what it prints is what the file claims.

example: keyferry inspect message.kf
`,
}
