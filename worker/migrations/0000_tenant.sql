CREATE TABLE `crls` (
	`issuer` blob PRIMARY KEY NOT NULL,
	`number` integer NOT NULL,
	`hash` blob NOT NULL,
	`next_update` integer NOT NULL,
	`is_delivered` integer NOT NULL,
	`der` blob NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `current` (
	`id` integer PRIMARY KEY NOT NULL,
	`hash` blob NOT NULL,
	`incarnation` integer NOT NULL,
	`version` integer NOT NULL,
	`releases_index` blob NOT NULL,
	`releases_root` blob NOT NULL,
	`releases_size` integer NOT NULL,
	`catalog_number` integer NOT NULL,
	`catalog_hash` blob NOT NULL,
	`manifests_index` blob NOT NULL,
	`manifests_root` blob NOT NULL,
	`manifests_size` integer NOT NULL,
	`head` blob NOT NULL,
	`catalog` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `mailbox` (
	`id` integer PRIMARY KEY NOT NULL,
	`done` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `objects` (
	`hash` blob PRIMARY KEY NOT NULL,
	`created` integer NOT NULL,
	`body` blob NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `refusals` (
	`recipient` blob NOT NULL,
	`keyring` blob NOT NULL,
	`expires` integer NOT NULL,
	`envelope` blob NOT NULL,
	PRIMARY KEY(`recipient`, `keyring`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `requests` (
	`seq` integer PRIMARY KEY NOT NULL,
	`hash` blob NOT NULL,
	`signer` blob NOT NULL,
	`expires` integer NOT NULL,
	`body` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `trusts` (
	`number` integer PRIMARY KEY NOT NULL,
	`hash` blob NOT NULL,
	`envelope` blob NOT NULL
);
