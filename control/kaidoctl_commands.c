/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands, with what --help says of each. */
#include "kaidoctl.h"

#include <stdio.h>
#include <string.h>

const struct command ctl_commands[] = {
	{ "apply", "make the gateway what a file says",
	  "Usage: kaidoctl apply FILE [--dry-run] [--prune] [--confirm-within SEC] [--yes]\n"
	  "Shows what differs from the running state and changes it, all or nothing.\n"
	  "FILE is YAML (docs/configuration.md); - is standard input.\n\n"
	  "  --dry-run             only show what would change\n"
	  "  --prune               also delete tenants and underlay entries that FILE lacks\n"
	  "  --confirm-within SEC  go back unless `kaidoctl confirm` follows in SEC seconds\n"
	  "  --yes                 don't ask\n\n"
	  "At a terminal it asks before it changes something. Mistakes are reported as\n"
	  "FILE:LINE: what is wrong, all of them, and nothing is changed.\n",
	  command_apply },
	{ "confirm", "keep what apply --confirm-within changed",
	  "Usage: kaidoctl confirm\nKeeps what `apply --confirm-within` changed.\n",
	  command_confirm },
	{ "show", "what is configured, and what it does",
	  "Usage: kaidoctl show TOPIC [TENANT[/TUNNEL]]\n\n"
	  "  status       kaidod, the dataplane, how much is configured\n"
	  "  tenants      all tenants\n"
	  "  tenant T     one of them, with what belongs to it\n"
	  "  tunnels [T]  addresses and counters\n"
	  "  tunnels T/TUNNEL  all of one: policies, selectors, where its peer is, path MTU, SAs\n"
	  "  remote-access [T]  entries, how many users and clients each has\n"
	  "  sas [T[/TUNNEL]]  SPIs, sequence numbers, fingerprints; never keys\n"
	  "  ike [T]      who is connected by IKE, and which of its tunnels are down\n"
	  "  attachments [T], routes [T], neighbours [T]\n"
	  "  ports        drivers, queues, link, packets by class of steering\n"
	  "  workers      load of each worker core\n"
	  "  counters [T[/TUNNEL]]  totals that survive rekey and restarts\n"
	  "  drops [T]    packets dropped, by reason\n"
	  "  events [T[/TUNNEL]] [--count N] [--since 10m|1h|7d] [--follow]  what happened\n"
	  "  config [T]   the configuration as YAML; it may be applied again\n"
	  "  audit [N]    the last N entries of the work log\n",
	  command_show },
	{ "set", "add or change one tenant, attachment, tunnel, remote access, user, route ...",
	  "Usage: kaidoctl set tenant TENANT MEMBER=VALUE...\n"
	  "       kaidoctl set attachment TENANT/NAME MEMBER=VALUE...\n"
	  "       kaidoctl set tunnel TENANT/NAME MEMBER=VALUE...\n"
	  "       kaidoctl set remote-access TENANT/NAME MEMBER=VALUE...\n"
	  "       kaidoctl set user TENANT/REMOTE-ACCESS USER password-file=FILE [groups=...]\n"
	  "       kaidoctl set route TENANT PREFIX tunnel=NAME | via=ADDRESS | blackhole=true\n"
	  "       kaidoctl set underlay NAME MEMBER=VALUE...\n"
	  "       kaidoctl set KIND ... -f FILE\n"
	  "Members are those of the configuration file; a list is VALUE,VALUE or [VALUE, ...];\n"
	  "an empty value removes a member, ike.dpd=10 sets one within another. What is not named\n"
	  "stays as it is.\n\n"
	  "  -f FILE  the whole object as YAML, in place of the one there is; - is standard input\n\n"
	  "Keys and passwords are never given on the command line, but files that hold them; for\n"
	  "those of SAs see `kaidoctl sa --help`.\n",
	  command_set },
	{ "delete", "take one of them away",
	  "Usage: kaidoctl delete tenant|underlay NAME [--yes]\n"
	  "       kaidoctl delete attachment|tunnel|remote-access TENANT/NAME [--yes]\n"
	  "       kaidoctl delete user TENANT/REMOTE-ACCESS USER [--yes]\n"
	  "       kaidoctl delete route TENANT PREFIX [--yes]\n"
	  "Asks first at a terminal, unless --yes is given.\n",
	  command_delete },
	{ "sa", "rekey a tunnel by hand",
	  "Usage: kaidoctl sa add TENANT/TUNNEL direction=in|out spi=SPI key-file=FILE\n"
	  "                   [esn=false] [window=PACKETS]\n"
	  "       kaidoctl sa delete TENANT/TUNNEL in|out SPI [--yes]\n"
	  "FILE holds key and salt as one hexadecimal number; - is standard input. A rekey that\n"
	  "loses nothing: add the new inbound SA on both gateways, then the new outbound SA on\n"
	  "both, then delete the old ones.\n",
	  command_sa },
	{ "disconnect", "end what IKE negotiated with a peer",
	  "Usage: kaidoctl disconnect TENANT/NAME\n"
	  "       kaidoctl disconnect TENANT user=USER | id=NUMBER | --all\n"
	  "NAME is a tunnel, one client, or a remote access and with it all its clients; id is\n"
	  "that of `kaidoctl show ike`. Who may connect can do so again: remove the user first.\n",
	  command_disconnect },
	{ "watch", "rates, live",
	  "Usage: kaidoctl watch [TENANT] [--interval SEC] [--count N]\n"
	  "Rates of all tenants, or of the tunnels of one. At a terminal the screen is\n"
	  "redrawn; into a pipe each interval is a block of lines. Ctrl-C ends it.\n",
	  command_watch },
	{ "graph", "the traffic graph of a tenant or tunnel",
	  "Usage: kaidoctl graph TENANT[/TUNNEL] [-o FILE] [--period 10m|1h|1d|7d|30d|13M]\n"
	  "                [--format png|svg] [--timezone ZONE]\n"
	  "Without -o it writes to standard output, unless that is a terminal. The format\n"
	  "follows the name of FILE where --format is not given; the period is 1d, the zone\n"
	  "UTC (or, for example, Asia/Tokyo).\n",
	  command_graph },
	{ "trace", "headers of single packets and what became of them",
	  "Usage: kaidoctl trace start [TENANT] [--packets N] [--every N]\n"
	  "       kaidoctl trace read [--follow]\n"
	  "       kaidoctl trace stop\n"
	  "Records headers only, N packets at most (1000), one in --every. It is audited.\n",
	  command_trace },
	{ "drops", "packets dropped, by reason",
	  "Usage: kaidoctl drops [TENANT]\nThe same as `kaidoctl show drops`.\n", command_drops },
	{ "audit", "the operators' work log",
	  "Usage: kaidoctl audit [N]\n"
	  "       kaidoctl audit verify\n"
	  "The last N entries (50): who did what, and its result; or whether the log is whole.\n",
	  command_audit },
	{ "events", "follow what happens",
	  "Usage: kaidoctl events [--count N]\nPrints events until Ctrl-C, or N of them. What "
	  "happened before is in `kaidoctl show events`.\n",
	  command_events },
	{ "completion", "completion for a shell",
	  "Usage: kaidoctl completion bash\n"
	  "Prints a script; put it into /etc/bash_completion.d/kaidoctl, or for one session:\n"
	  "source <(kaidoctl completion bash)\n",
	  command_completion },
	{ "help", "of a command", "Usage: kaidoctl help [COMMAND]\n", command_help },
	{ "complete", NULL, "Usage: kaidoctl complete WORD...\nWhat the completion asks for.\n",
	  command_complete },
	{ NULL, NULL, NULL, NULL },
};

const struct command *command_find(const char *name)
{
	const struct command *command;

	for (command = ctl_commands; command->name != NULL; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

int command_run(struct ctl *ctl, int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);

	if (command != NULL)
		return command->run(ctl, argc, argv);
	fprintf(stderr, "kaidoctl: there is no command '%s'; see kaidoctl --help\n", argv[0]);
	return CTL_USAGE;
}

int command_usage(const char *name, const char *mistake, const char *what)
{
	const struct command *command = command_find(name);

	fprintf(stderr, "kaidoctl %s: %s%s%s\n%s", name, mistake, what != NULL ? " " : "",
		what != NULL ? what : "", command->help);
	return CTL_USAGE;
}
