CREATE TABLE `heads` (
	`seq` integer PRIMARY KEY NOT NULL,
	`log_size` integer NOT NULL,
	`log_root` blob NOT NULL,
	`envelope` blob NOT NULL
);
