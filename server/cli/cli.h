/* The command line, in the manner of git: a table of commands, and for some a table of their own.
 */
#pragma once

#include "server/config/config.h"

G_BEGIN_DECLS

/* A row with a summary ends up in `comity help`. @run gets the words from the command's own name on
 * and returns the exit status. */
typedef struct _CmCommand CmCommand;
struct _CmCommand {
  const char *name;
  const char *arguments;
  const char *summary;
  int (*run) (const CmCommand *command, int argc, char **argv);
};

/* Each table ends with a row of NULLs. */
extern const CmCommand cm_commands[];

/* Finds argv[1] in @commands and runs it; says what there is otherwise. @name is what was typed so
 * far ("comity user"). */
int cm_cli_dispatch (const char *name, const CmCommand *commands, int argc, char **argv);
void cm_cli_usage (const char *name, const CmCommand *commands);

/* Parses the options of one command; says what is wrong, and how to call it, on standard error. */
gboolean
cm_cli_parse (const CmCommand *command, const GOptionEntry *options, int *argc, char ***argv);

/* Reads the configuration; says what is wrong with it on standard error. @path NULL: the default
 * one. */
CmConfig *cm_cli_load_config (const char *path);

/* "comity: message", each line of it, on standard error. Returns 1, the exit status. */
int cm_cli_fail (const char *message);

/* The parts that a command needs which works on the database itself, beside a running node or
 * without one: becomes [node] user, then starts CM_NODE_TOOL. @config must outlive the node. NULL
 * after saying what is wrong. Ends with cm_node_stop. */
CmNode *cm_cli_open_node (const CmConfig *config);

#define CM_CLI_DEFAULT_CONFIG "/etc/comity/comity.conf"

/* --config FILE, for the options of a command. */
#define CM_CLI_CONFIG(variable)                                                                    \
  {                                                                                                \
    "config", 'c', 0, G_OPTION_ARG_FILENAME, &(variable),                                          \
        "The configuration (" CM_CLI_DEFAULT_CONFIG ")", "FILE"                                    \
  }

int cm_cli_migrate (const CmCommand *command, int argc, char **argv);
int cm_cli_user (const CmCommand *command, int argc, char **argv);
int cm_cli_serve (const CmCommand *command, int argc, char **argv);
int cm_cli_check_config (const CmCommand *command, int argc, char **argv);
int cm_cli_say (const CmCommand *command, int argc, char **argv);
int cm_cli_listen (const CmCommand *command, int argc, char **argv);
int cm_cli_generate_config (const CmCommand *command, int argc, char **argv);

G_END_DECLS
