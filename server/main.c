#include "server/cli/cli.h"
#include "server/media/thumbnail-worker.h"

#include <locale.h>

static int
run_version (const CmCommand *command, int argc, char **argv)
{
  g_print ("comity %s\n", CM_VERSION);
  return 0;
}

static int
run_help (const CmCommand *command, int argc, char **argv)
{
  cm_cli_usage ("comity", cm_commands);
  return 0;
}

/* The node starts it for itself. */
static int
run_thumbnail_worker (const CmCommand *command, int argc, char **argv)
{
  return cm_thumbnail_worker (argc, argv);
}

const CmCommand cm_commands[] = {
  { "serve", "", "Runs the node in the foreground", cm_cli_serve },
  { "check-config", "", "Says what is wrong with a configuration, by group and key",
    cm_cli_check_config },
  { "generate-config", "", "Prints a commented configuration that runs as it is",
    cm_cli_generate_config },
  { "migrate", "", "Brings the database up to date, as serve does at its start", cm_cli_migrate },
#ifdef CM_WITH_OLM
  { "say", "TEXT", "Has the running node's participant say something in a room", cm_cli_say },
  { "listen", "", "Prints what the running node's participant hears in a room", cm_cli_listen },
#endif
  { "user", "COMMAND", "Makes, changes and lists accounts", cm_cli_user },
  { "thumbnail-worker", NULL, NULL, run_thumbnail_worker },
  { "version", "", "Prints the version", run_version },
  { "--version", NULL, NULL, run_version },
  { "help", "", "Prints this list", run_help },
  { NULL, NULL, NULL, NULL },
};

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  return cm_cli_dispatch ("comity", cm_commands, argc, argv);
}
