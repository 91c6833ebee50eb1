#include "server/config/keys.h"

#include <pwd.h>
#include <string.h>
#include <unistd.h>

/* The one listener of a new file: behind a reverse proxy, or for a first look with a client on the
 * same machine. */
#define LISTENER_NAME "main"
#define LISTENER_PORT "8008"

#define WIDTH 100

/* "# " and @text, broken at spaces before WIDTH. */
static void
comment (GString *out, const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  gsize column = 0;
  for (gsize i = 0; words[i]; i++) {
    if (column > 0 && column + 1 + strlen (words[i]) > WIDTH) {
      g_string_append_c (out, '\n');
      column = 0;
    }
    g_string_append_printf (out, "%s%s", column == 0 ? "# " : " ", words[i]);
    column += strlen (words[i]) + (column == 0 ? 2 : 1);
  }
  g_string_append_c (out, '\n');
}

/* Root may not serve: a file that runs as it is names somebody to become. */
static const char *
user_to_become (void)
{
  if (geteuid () != 0)
    return NULL;
  return getpwnam ("comity") ? "comity" : "nobody";
}

static const char *
chosen_value (const CmConfigKey *key, const char *server_name, const char *data_dir)
{
  if (strcmp (key->key, "server_name") == 0)
    return server_name;
  if (strcmp (key->key, "data_dir") == 0)
    return data_dir;
  if (strcmp (key->key, "user") == 0)
    return user_to_become ();
  if (strcmp (key->key, "port") == 0)
    return LISTENER_PORT;
  return NULL;
}

static void
write_key (GString *out, const CmConfigKey *key, const char *server_name, const char *data_dir)
{
  const char *chosen = chosen_value (key, server_name, data_dir);
  comment (out, key->help);
  if (chosen)
    g_string_append_printf (out, "%s = %s\n", key->key, chosen);
  else
    g_string_append_printf (out, "#%s = %s\n", key->key, key->fallback ? key->fallback : "");
}

char *
cm_config_generate (const char *server_name, const char *data_dir)
{
  GString *out =
      g_string_new ("# Configuration of comity. A line that begins with #name shows a default.\n");
  for (const CmConfigGroup *group = cm_config_groups; group->group; group++) {
    gboolean listen = strcmp (group->group, "listen") == 0;
    g_string_append_c (out, '\n');
    comment (out, group->help);
    g_string_append_printf (out, "[%s%s]\n", group->group, listen ? " " LISTENER_NAME : "");
    for (const CmConfigKey *key = cm_config_keys; key->group; key++) {
      if (strcmp (key->group, group->group) == 0)
        write_key (out, key, server_name, data_dir);
    }
  }
  return g_string_free (out, FALSE);
}
