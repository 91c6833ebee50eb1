/* How the text of one key becomes a value: a reader and a clearer for each type of the table. */
#include "server/config/keys.h"

#include "crypto/id.h"

#include <string.h>

/* @text is what stands after the equals sign, unescaped, never empty. */
typedef gboolean (*Reader) (const CmConfigKey *key, const char *text, gpointer field,
                            GError **error);

/* The elements of a;b;c without the spaces around them and without empty ones. */
static char **
split (const char *text)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) parts = g_strsplit (text, ";", -1);
  for (gsize i = 0; parts[i]; i++) {
    g_strstrip (parts[i]);
    if (*parts[i])
      g_strv_builder_add (builder, parts[i]);
  }
  return g_strv_builder_end (builder);
}

static gboolean
read_text (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  *(char **) field = g_strdup (text);
  return TRUE;
}

static gboolean
read_name (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  if (!cm_id_is_server_name (text))
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not a server name", text);
  return read_text (key, text, field, error);
}

static gboolean
read_names (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  g_auto (GStrv) names = split (text);
  for (gsize i = 0; names[i]; i++) {
    if (!cm_id_is_server_name (names[i]))
      return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not a server name", names[i]);
  }
  *(char ***) field = g_steal_pointer (&names);
  return TRUE;
}

static gboolean
read_url (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  g_autoptr (GUri) uri = g_uri_parse (text, G_URI_FLAGS_NONE, NULL);
  const char *scheme = uri ? g_uri_get_scheme (uri) : "";
  if ((strcmp (scheme, "https") != 0 && strcmp (scheme, "http") != 0) || !g_uri_get_host (uri))
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not an http or https URL", text);
  if (g_uri_get_query (uri) || g_uri_get_fragment (uri) || g_uri_get_userinfo (uri))
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' may hold no user, query or fragment", text);
  char *url = g_strdup (text);
  for (gsize length = strlen (url); length > 0 && url[length - 1] == '/'; length--)
    url[length - 1] = '\0';
  *(char **) field = url;
  return TRUE;
}

static gboolean
read_path (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  if (!g_path_is_absolute (text))
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not an absolute path", text);
  *(char **) field = g_canonicalize_filename (text, "/");
  return TRUE;
}

static gboolean
read_file (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  if (!g_file_test (text, G_FILE_TEST_EXISTS))
    return cm_fail (error, CM_ERROR_CONFIG, "there is no file '%s'", text);
  return read_path (key, text, field, error);
}

static gboolean
read_files (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  g_auto (GStrv) paths = split (text);
  for (gsize i = 0; paths[i]; i++) {
    g_autofree char *path = NULL;
    if (!read_file (key, paths[i], &path, error))
      return FALSE;
  }
  *(char ***) field = g_steal_pointer (&paths);
  return TRUE;
}

static gboolean
read_flag (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  gboolean yes = strcmp (text, "true") == 0;
  if (!yes && strcmp (text, "false") != 0)
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' is neither true nor false", text);
  *(gboolean *) field = yes;
  return TRUE;
}

static gboolean
read_number (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  if (!g_ascii_string_to_signed (text, 10, key->min, key->max, field, NULL))
    return cm_fail (error, CM_ERROR_CONFIG,
                    "'%s' is not a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, text,
                    key->min, key->max);
  return TRUE;
}

static gboolean
read_size (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  static const char units[] = "KMG";
  gsize length = strlen (text);
  const char *unit = length > 0 ? strchr (units, g_ascii_toupper (text[length - 1])) : NULL;
  int shift = unit ? 10 * (int) (unit - units + 1) : 0;
  g_autofree char *digits = g_strndup (text, unit ? length - 1 : length);
  gint64 value = 0;

  /* A unit may be larger than all that is allowed. */
  if (key->max >> shift < 1 ||
      !g_ascii_string_to_signed (digits, 10, 1, key->max >> shift, &value, NULL))
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not a size such as 50M", text);
  *(gint64 *) field = value << shift;
  return TRUE;
}

static gboolean
read_port (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  gint64 port = 0;
  if (!g_ascii_string_to_signed (text, 10, 1, G_MAXUINT16, &port, NULL))
    return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not a port number", text);
  *(guint16 *) field = (guint16) port;
  return TRUE;
}

static gboolean
read_choice (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  for (int i = 0; key->choices[i]; i++) {
    if (strcmp (key->choices[i], text) == 0) {
      *(int *) field = i;
      return TRUE;
    }
  }
  g_autofree char *choices = g_strjoinv (", ", (char **) key->choices);
  return cm_fail (error, CM_ERROR_CONFIG, "'%s' is none of: %s", text, choices);
}

static gboolean
read_serve (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  static const char *const names[] = { "client", "federation", "admin", NULL };
  static const CmServe bits[] = { CM_SERVE_CLIENT, CM_SERVE_FEDERATION, CM_SERVE_ADMIN };
  g_auto (GStrv) words = split (text);
  CmServe serve = 0;
  for (gsize i = 0; words[i]; i++) {
    gsize n = 0;
    while (names[n] && strcmp (names[n], words[i]) != 0)
      n++;
    if (!names[n])
      return cm_fail (error, CM_ERROR_CONFIG, "'%s' is none of: client, federation, admin",
                      words[i]);
    serve |= bits[n];
  }
  *(CmServe *) field = serve;
  return TRUE;
}

static gboolean
read_map (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  g_autoptr (GHashTable) map = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_auto (GStrv) pairs = split (text);
  for (gsize i = 0; pairs[i]; i++) {
    char *equals = strchr (pairs[i], '=');
    if (!equals)
      return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not of the form name=host:port", pairs[i]);
    *equals = '\0';
    g_autofree char *host = NULL;
    guint16 port = 0;
    gboolean literal = FALSE;
    if (!cm_id_is_server_name (pairs[i]))
      return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not a server name", pairs[i]);
    if (!cm_id_is_server_name (equals + 1) ||
        !cm_id_split_server_name (equals + 1, &host, &port, &literal) || port == 0)
      return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not of the form host:port", equals + 1);
    g_hash_table_replace (map, g_strdup (pairs[i]), g_strdup (equals + 1));
  }
  *(GHashTable **) field = g_steal_pointer (&map);
  return TRUE;
}

static gboolean
read_ranges (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  g_autoptr (GPtrArray) ranges = g_ptr_array_new_with_free_func (g_object_unref);
  g_auto (GStrv) words = split (text);
  for (gsize i = 0; words[i]; i++) {
    GInetAddressMask *mask = g_inet_address_mask_new_from_string (words[i], NULL);
    if (!mask)
      return cm_fail (error, CM_ERROR_CONFIG, "'%s' is not an address range such as 10.0.0.0/8",
                      words[i]);
    g_ptr_array_add (ranges, mask);
  }
  *(GPtrArray **) field = g_steal_pointer (&ranges);
  return TRUE;
}

static gboolean
read_rate (const CmConfigKey *key, const char *text, gpointer field, GError **error)
{
  CmRate *rate = field;
  g_auto (GStrv) words = split (text);
  char *end = NULL;
  guint64 burst = 0;
  if (g_strv_length (words) == 2)
    rate->per_second = g_ascii_strtod (words[0], &end);
  if (!end || *end || !(rate->per_second > 0 && rate->per_second < 1e6) ||
      !g_ascii_string_to_unsigned (words[1], 10, 1, 1000000, &burst, NULL))
    return cm_fail (error, CM_ERROR_CONFIG,
                    "'%s' is not of the form per_second;burst, both above 0", text);
  rate->burst = (guint) burst;
  return TRUE;
}

static void
clear_text (gpointer field)
{
  g_clear_pointer ((char **) field, g_free);
}

static void
clear_list (gpointer field)
{
  g_clear_pointer ((char ***) field, g_strfreev);
}

static void
clear_map (gpointer field)
{
  g_clear_pointer ((GHashTable **) field, g_hash_table_unref);
}

static void
clear_ranges (gpointer field)
{
  g_clear_pointer ((GPtrArray **) field, g_ptr_array_unref);
}

static const struct {
  Reader read;
  void (*clear) (gpointer field);
  gboolean empty; /* an empty text is a value (an empty list) and not the absence of one */
} types[CM_CONFIG_LAST] = {
  [CM_CONFIG_TEXT] = { read_text, clear_text, FALSE },
  [CM_CONFIG_NAME] = { read_name, clear_text, FALSE },
  [CM_CONFIG_NAMES] = { read_names, clear_list, TRUE },
  [CM_CONFIG_URL] = { read_url, clear_text, FALSE },
  [CM_CONFIG_PATH] = { read_path, clear_text, FALSE },
  [CM_CONFIG_FILE] = { read_file, clear_text, FALSE },
  [CM_CONFIG_FILES] = { read_files, clear_list, TRUE },
  [CM_CONFIG_FLAG] = { read_flag, NULL, TRUE },
  [CM_CONFIG_NUMBER] = { read_number, NULL, TRUE },
  [CM_CONFIG_SIZE] = { read_size, NULL, TRUE },
  [CM_CONFIG_PORT] = { read_port, NULL, TRUE },
  [CM_CONFIG_CHOICE] = { read_choice, NULL, TRUE },
  [CM_CONFIG_SERVE] = { read_serve, NULL, TRUE },
  [CM_CONFIG_MAP] = { read_map, clear_map, TRUE },
  [CM_CONFIG_RANGES] = { read_ranges, clear_ranges, TRUE },
  [CM_CONFIG_RATE] = { read_rate, NULL, TRUE },
};

gboolean
cm_config_value_read (GKeyFile *file, const char *group, const CmConfigKey *key, gpointer base,
                      GError **error)
{
  g_autoptr (GError) inner = NULL;
  g_autofree char *text = g_key_file_get_string (file, group, key->key, &inner);
  if (!text)
    return cm_fail (error, CM_ERROR_CONFIG, "%s", inner->message);
  if (!*g_strstrip (text) && !types[key->type].empty)
    return key->required ? cm_fail (error, CM_ERROR_CONFIG, "must not be empty") : TRUE;
  return types[key->type].read (key, text, (char *) base + key->offset, error);
}

void
cm_config_value_clear (const CmConfigKey *key, gpointer base)
{
  if (types[key->type].clear)
    types[key->type].clear ((char *) base + key->offset);
}
