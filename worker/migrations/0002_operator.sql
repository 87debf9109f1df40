CREATE TABLE `past` (
	`releases_index` blob NOT NULL,
	`releases_root` blob NOT NULL,
	`releases_size` integer NOT NULL,
	`manifests_index` blob NOT NULL,
	`manifests_root` blob NOT NULL,
	`manifests_size` integer NOT NULL,
	`replaced` integer NOT NULL,
	PRIMARY KEY(`releases_index`, `manifests_index`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `settings` (
	`id` integer PRIMARY KEY NOT NULL,
	`is_suspended` integer NOT NULL,
	`bytes` integer,
	`objects` integer,
	`mailbox` integer,
	`sockets` integer,
	`calls` integer
);
--> statement-breakpoint
CREATE TABLE `tickets` (
	`hash` blob PRIMARY KEY NOT NULL,
	`expires` integer NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
ALTER TABLE `crls` ADD `is_verified` integer DEFAULT false NOT NULL;
