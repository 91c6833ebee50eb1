#include "server/cli/cli.h"
#include "server/serve.h"

int
cm_cli_serve (const CmCommand *command, int argc, char **argv)
{
  g_autofree char *path = NULL;
  const GOptionEntry options[] = { CM_CLI_CONFIG (path), G_OPTION_ENTRY_NULL };
  if (!cm_cli_parse (command, options, &argc, &argv))
    return 2;
  g_autoptr (CmConfig) config = cm_cli_load_config (path);
  return config ? cm_serve (config) : 1;
}
