#include "server/media/header-value.h"

#include <string.h>

#define MAX_LENGTH 255

/* client-server, "Serving inline content". */
static const char *const inline_types[] = {
  "text/css",     "text/plain", "text/csv",    "application/json", "application/ld+json",
  "image/jpeg",   "image/gif",  "image/png",   "image/apng",       "image/webp",
  "image/avif",   "video/mp4",  "video/webm",  "video/ogg",        "video/quicktime",
  "audio/mp4",    "audio/webm", "audio/aac",   "audio/mpeg",       "audio/ogg",
  "audio/wave",   "audio/wav",  "audio/x-wav", "audio/x-pn-wav",   "audio/flac",
  "audio/x-flac",
};

/* The length of the token (RFC 9110, 5.6.2) that @text begins with. */
static gsize
token_length (const char *text)
{
  gsize length = 0;

  while (g_ascii_isalnum (text[length]) ||
         (text[length] != '\0' && strchr ("!#$%&'*+-.^_`|~", text[length]) != NULL))
    length++;
  return length;
}

static const char *
skip_space (const char *text)
{
  return text + strspn (text, " \t");
}

/* Reads a quoted string (RFC 9110, 5.6.4) at *@text, which moves behind it. NULL when it does not
 * end or holds what may not stand in it. */
static char *
read_quoted (const char **text)
{
  g_autoptr (GString) value = g_string_new (NULL);
  const char *c = *text + 1;

  for (; *c != '"'; c++) {
    if (*c == '\\')
      c++;
    if (*c == '\0' || (g_ascii_iscntrl (*c) && *c != '\t'))
      return NULL;
    g_string_append_c (value, *c);
  }
  *text = c + 1;
  return g_string_free (g_steal_pointer (&value), FALSE);
}

/* Reads the next "; name=value" at *@text, which moves behind it. FALSE when there is none, or none
 * that is well-formed; only in the first case *@text is the end of the header then. */
static gboolean
read_param (const char **text, char **name, char **value)
{
  const char *c = skip_space (*text);

  *text = c;
  if (*c != ';')
    return FALSE;
  c = skip_space (c + 1);
  gsize length = token_length (c);
  if (length == 0 || c[length] != '=')
    return FALSE;
  g_autofree char *key = g_ascii_strdown (c, (gssize) length);
  c += length + 1;
  length = token_length (c);
  if (length == 0 && *c != '"')
    return FALSE;
  *value = length > 0 ? g_strndup (c, length) : read_quoted (&c);
  if (*value == NULL)
    return FALSE;
  *text = c + length;
  *name = g_steal_pointer (&key);
  return TRUE;
}

/* The length of the type/subtype that @type begins with, 0 when it does not. */
static gsize
essence_length (const char *type)
{
  gsize length = token_length (type);

  if (length == 0 || type[length] != '/')
    return 0;
  gsize rest = token_length (type + length + 1);
  return rest > 0 ? length + 1 + rest : 0;
}

gboolean
cm_content_type_is_valid (const char *type)
{
  gsize length = essence_length (type);
  const char *rest = type + length;
  char *name, *value;

  if (length == 0 || strlen (type) > MAX_LENGTH || !g_str_is_ascii (type))
    return FALSE;
  while (read_param (&rest, &name, &value)) {
    g_free (name);
    g_free (value);
  }
  return *rest == '\0';
}

gboolean
cm_content_type_is_inline (const char *type)
{
  g_autofree char *essence = g_ascii_strdown (type, (gssize) essence_length (type));

  for (gsize i = 0; i < G_N_ELEMENTS (inline_types); i++)
    if (strcmp (essence, inline_types[i]) == 0)
      return TRUE;
  return FALSE;
}

char *
cm_header_param (const char *value, const char *name)
{
  const char *rest = value + strcspn (value, ";");
  g_autofree char *found = NULL;
  char *key, *text;

  while (read_param (&rest, &key, &text)) {
    if (found == NULL && strcmp (key, name) == 0)
      found = g_steal_pointer (&text);
    g_free (key);
    g_free (text);
  }
  return *rest == '\0' ? g_steal_pointer (&found) : NULL;
}

/* The text of an ext-value (RFC 8187, 3.2), which must be UTF-8. */
static char *
decode_extended (const char *value)
{
  if (g_ascii_strncasecmp (value, "utf-8'", strlen ("utf-8'")) != 0)
    return NULL;
  const char *text = strchr (value + strlen ("utf-8'"), '\'');
  g_autofree char *decoded = text != NULL ? g_uri_unescape_string (text + 1, NULL) : NULL;
  return decoded != NULL && g_utf8_validate (decoded, -1, NULL) ? g_steal_pointer (&decoded) : NULL;
}

char *
cm_disposition_file_name (const char *value)
{
  g_autofree char *extended = cm_header_param (value, "filename*");
  g_autofree char *name = extended != NULL ? decode_extended (extended) : NULL;

  if (name == NULL)
    name = cm_header_param (value, "filename");
  if (name == NULL || *name == '\0' || !g_utf8_validate (name, -1, NULL))
    return NULL;
  return g_steal_pointer (&name);
}

/* @file_name without control characters, and not longer than names of files are. */
static char *
clean_name (const char *file_name)
{
  g_autoptr (GString) name = g_string_new (NULL);

  for (const char *c = file_name; *c != '\0'; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);
    if (name->len + 6 > MAX_LENGTH)
      break;
    if (!g_unichar_iscntrl (character))
      g_string_append_unichar (name, character);
  }
  return g_string_free (g_steal_pointer (&name), FALSE);
}

/* Whether @name can stand between quotes as it is, and no reader could take it for something else.
 */
static gboolean
is_plain (const char *name)
{
  for (; *name != '\0'; name++)
    if (!g_ascii_isprint (*name) || strchr ("\"\\%", *name) != NULL)
      return FALSE;
  return TRUE;
}

char *
cm_disposition_new (gboolean is_inline, const char *file_name)
{
  const char *kind = is_inline ? "inline" : "attachment";
  g_autofree char *name = file_name != NULL ? clean_name (file_name) : NULL;

  if (name == NULL || *name == '\0')
    return g_strdup (kind);
  if (is_plain (name))
    return g_strdup_printf ("%s; filename=\"%s\"", kind, name);
  g_autofree char *escaped = g_uri_escape_string (name, NULL, FALSE);
  return g_strdup_printf ("%s; filename*=utf-8''%s", kind, escaped);
}
