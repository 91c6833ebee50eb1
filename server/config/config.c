#include "server/config/keys.h"

#include <string.h>

#define LISTEN_PREFIX "listen "

static void
fault (GString *faults, const char *group, const char *key, const char *message)
{
  g_string_append_printf (faults, "%s[%s] %s: %s", faults->len > 0 ? "\n" : "", group, key,
                          message);
}

static const char *
table_group (const char *group)
{
  return g_str_has_prefix (group, LISTEN_PREFIX) ? "listen" : group;
}

static gboolean
group_is_known (const char *group)
{
  /* A bare [listen] has no name: unknown, like any other. */
  if (strcmp (group, "listen") == 0)
    return FALSE;
  for (const CmConfigGroup *row = cm_config_groups; row->group; row++) {
    if (strcmp (row->group, table_group (group)) == 0)
      return TRUE;
  }
  return FALSE;
}

static void
refuse_unknown (GKeyFile *file, char **groups, GString *faults)
{
  for (gsize i = 0; groups[i]; i++) {
    if (!group_is_known (groups[i])) {
      g_string_append_printf (faults, "%s[%s]: there is no such group", faults->len > 0 ? "\n" : "",
                              groups[i]);
      continue;
    }
    g_auto (GStrv) keys = g_key_file_get_keys (file, groups[i], NULL, NULL);
    for (gsize k = 0; keys && keys[k]; k++) {
      if (!cm_config_key_find (table_group (groups[i]), keys[k]))
        fault (faults, groups[i], keys[k], "there is no such key");
    }
  }
}

/* Reads every key that the table has for @group, writing defaults into @file first so that they are
 * read as any value is. */
static void
read_group (GKeyFile *file, const char *group, gpointer base, GString *faults)
{
  for (const CmConfigKey *row = cm_config_keys; row->group; row++) {
    if (strcmp (row->group, table_group (group)) != 0)
      continue;
    if (!g_key_file_has_key (file, group, row->key, NULL)) {
      if (row->required)
        fault (faults, group, row->key, "is missing");
      if (!row->fallback)
        continue;
      g_key_file_set_string (file, group, row->key, row->fallback);
    }
    g_autoptr (GError) error = NULL;
    if (!cm_config_value_read (file, group, row, base, &error))
      fault (faults, group, row->key, error->message);
  }
}

static void
read_listeners (GKeyFile *file, char **groups, CmConfig *config, GString *faults)
{
  config->listeners = g_new0 (CmListener, g_strv_length (groups) + 1);
  for (gsize i = 0; groups[i]; i++) {
    if (!g_str_has_prefix (groups[i], LISTEN_PREFIX))
      continue;
    CmListener *listener = &config->listeners[config->n_listeners++];
    listener->name = g_strdup (groups[i] + strlen (LISTEN_PREFIX));
    read_group (file, groups[i], listener, faults);
  }
}

static void
read_groups (GKeyFile *file, CmConfig *config, GString *faults)
{
  for (const CmConfigGroup *row = cm_config_groups; row->group; row++) {
    if (strcmp (row->group, "listen") != 0)
      read_group (file, row->group, config, faults);
  }
}

/* Defaults that are made of other keys. */
static void
derive (CmConfig *config)
{
  const char *dir = config->node.data_dir;
  if (!config->node.public_baseurl)
    config->node.public_baseurl = g_strconcat ("https://", config->node.server_name, NULL);
  if (!config->node.signing_key)
    config->node.signing_key = g_build_filename (dir, "signing.key", NULL);
  if (!config->media.path)
    config->media.path = g_build_filename (dir, "media", NULL);
}

CmConfig *
cm_config_parse (const char *text, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) inner = NULL;
  if (!g_key_file_load_from_data (file, text, strlen (text), G_KEY_FILE_NONE, &inner)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG, inner->message);
    return NULL;
  }

  g_autoptr (CmConfig) config = g_new0 (CmConfig, 1);
  g_autoptr (GString) faults = g_string_new (NULL);
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
  refuse_unknown (file, groups, faults);
  read_groups (file, config, faults);
  read_listeners (file, groups, config, faults);
  if (faults->len == 0) {
    derive (config);
    cm_config_check (config, faults);
  }
  if (faults->len > 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG, faults->str);
    return NULL;
  }
  return g_steal_pointer (&config);
}

CmConfig *
cm_config_load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) inner = NULL;
  if (!g_file_get_contents (path, &text, NULL, &inner)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG, inner->message);
    return NULL;
  }
  return cm_config_parse (text, error);
}

void
cm_config_free (CmConfig *config)
{
  for (gsize i = 0; i < config->n_listeners; i++)
    g_free ((char *) config->listeners[i].name);
  for (const CmConfigKey *row = cm_config_keys; row->group; row++) {
    if (strcmp (row->group, "listen") != 0) {
      cm_config_value_clear (row, config);
      continue;
    }
    for (gsize i = 0; i < config->n_listeners; i++)
      cm_config_value_clear (row, &config->listeners[i]);
  }
  g_free (config->listeners);
  g_free (config);
}

gboolean
cm_config_ranges_match (const GPtrArray *ranges, const char *address)
{
  if (ranges->len == 0)
    return FALSE;
  g_autoptr (GInetAddress) parsed = g_inet_address_new_from_string (address);
  for (guint i = 0; parsed && i < ranges->len; i++) {
    if (g_inet_address_mask_matches (g_ptr_array_index (ranges, i), parsed))
      return TRUE;
  }
  return FALSE;
}
