#include "crypto/id.h"

#include <arpa/inet.h>
#include <string.h>

#define HASH_ID_LENGTH 43 /* 32 bytes in unpadded base64 */

/* TRUE when @text is @length characters, all of them alphanumeric ASCII or one of @others. */
static gboolean
consists_of (const char *text, gsize length, const char *others)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (text[i]) && (text[i] == '\0' || strchr (others, text[i]) == NULL))
      return FALSE;
  return TRUE;
}

/* The length of what is before the port (with the brackets of an IPv6 literal), or 0 when @text has
 * no such form. */
static gsize
host_length (const char *text)
{
  if (text[0] != '[')
    return strcspn (text, ":");
  const char *bracket = strchr (text, ']');
  return bracket != NULL ? (gsize) (bracket - text) + 1 : 0;
}

static gboolean
is_ipv6_literal (const char *host, gsize length)
{
  char address[INET6_ADDRSTRLEN];
  struct in6_addr parsed;

  if (length < 4 || length - 2 >= sizeof address || host[0] != '[')
    return FALSE;
  memcpy (address, host + 1, length - 2);
  address[length - 2] = '\0';
  return inet_pton (AF_INET6, address, &parsed) == 1;
}

/* The grammar's IPv4address: also numbers above 255, which are no host name for that. */
static gboolean
is_ipv4_literal (const char *host, gsize length)
{
  guint parts = 1, digits = 0;
  for (gsize i = 0; i < length; i++) {
    if (host[i] == '.' && digits > 0) {
      parts++;
      digits = 0;
    } else if (!g_ascii_isdigit (host[i]) || ++digits > 3) {
      return FALSE;
    }
  }
  return parts == 4 && digits > 0;
}

/* Checks ":" 1*5DIGIT, or nothing. */
static gboolean
is_port_suffix (const char *text)
{
  if (text[0] == '\0')
    return TRUE;
  gsize digits = strspn (text + 1, "0123456789");
  return text[0] == ':' && digits >= 1 && digits <= 5 && text[1 + digits] == '\0';
}

gboolean
cm_id_is_server_name (const char *text)
{
  if (text == NULL)
    return FALSE;
  gsize length = strnlen (text, CM_ID_MAX_BYTES + 1);
  gsize host = host_length (text);

  if (length > CM_ID_MAX_BYTES || host == 0 || !is_port_suffix (text + host))
    return FALSE;
  return text[0] == '[' ? is_ipv6_literal (text, host) : consists_of (text, host, "-.");
}

/* "&localpart:server": TRUE when @text has @sigil, a server name, and a localpart of @minimum bytes
 * of UTF-8. */
static gboolean
is_domain_id (const char *text, char sigil, gsize minimum)
{
  if (text == NULL || text[0] != sigil || strnlen (text, CM_ID_MAX_BYTES + 1) > CM_ID_MAX_BYTES)
    return FALSE;

  const char *colon = strchr (text, ':');
  if (colon == NULL || (gsize) (colon - text - 1) < minimum)
    return FALSE;
  return g_utf8_validate (text, colon - text, NULL) && cm_id_is_server_name (colon + 1);
}

static gboolean
is_hash_id (const char *text, char sigil, const char *others)
{
  return text != NULL && text[0] == sigil &&
         strnlen (text, HASH_ID_LENGTH + 2) == HASH_ID_LENGTH + 1 &&
         consists_of (text + 1, HASH_ID_LENGTH, others);
}

gboolean
cm_id_is_user (const char *text)
{
  return is_domain_id (text, '@', 0);
}

gboolean
cm_id_is_new_localpart (const char *localpart)
{
  if (localpart == NULL)
    return FALSE;
  gsize length = strnlen (localpart, CM_ID_MAX_BYTES + 1);
  if (length == 0 || length > CM_ID_MAX_BYTES)
    return FALSE;
  return strspn (localpart, "abcdefghijklmnopqrstuvwxyz0123456789._=-/+") == length;
}

gboolean
cm_id_is_room (const char *text)
{
  return is_domain_id (text, '!', 1) || is_hash_id (text, '!', "-_");
}

gboolean
cm_id_is_alias (const char *text)
{
  return is_domain_id (text, '#', 1);
}

gboolean
cm_id_is_event (const char *text)
{
  /* Room version 3 writes the hash in the standard alphabet, later ones in the url-safe one. */
  return is_hash_id (text, '$', "+/") || is_hash_id (text, '$', "-_") ||
         is_domain_id (text, '$', 1);
}

gboolean
cm_id_is_key (const char *text)
{
  if (text == NULL)
    return FALSE;
  gsize length = strnlen (text, CM_ID_MAX_BYTES + 1);
  gsize algorithm = strcspn (text, ":");

  if (length > CM_ID_MAX_BYTES || algorithm == 0 || !consists_of (text, algorithm, "_") ||
      length <= algorithm + 1)
    return FALSE;
  for (const char *c = text + algorithm + 1; *c != '\0'; c++)
    if (!g_ascii_isgraph (*c))
      return FALSE;
  return TRUE;
}

gboolean
cm_id_is_opaque (const char *text)
{
  if (text == NULL)
    return FALSE;
  gsize length = strnlen (text, CM_ID_MAX_BYTES + 1);
  return length > 0 && length <= CM_ID_MAX_BYTES && consists_of (text, length, "._~-");
}

gboolean
cm_id_parse_mxc (const char *uri, char **server, char **media)
{
  if (uri == NULL || !g_str_has_prefix (uri, "mxc://"))
    return FALSE;
  const char *name = uri + strlen ("mxc://");
  const char *slash = strchr (name, '/');
  if (slash == NULL)
    return FALSE;

  g_autofree char *server_name = g_strndup (name, (gsize) (slash - name));
  const char *id = slash + 1;
  gsize length = strnlen (id, CM_ID_MAX_BYTES + 1);
  /* Client-server, "Matrix Content (mxc://) URIs": fewer characters than other opaque ids, no dot
   * above all. */
  if (!cm_id_is_server_name (server_name) || length == 0 || length > CM_ID_MAX_BYTES ||
      !consists_of (id, length, "_-"))
    return FALSE;
  if (server != NULL)
    *server = g_steal_pointer (&server_name);
  if (media != NULL)
    *media = g_strdup (id);
  return TRUE;
}

const char *
cm_id_domain (const char *id)
{
  const char *colon = id != NULL ? strchr (id, ':') : NULL;
  return colon != NULL && colon[1] != '\0' ? colon + 1 : NULL;
}

char *
cm_id_localpart (const char *id)
{
  if (id[0] == '\0')
    return g_strdup ("");
  return g_strndup (id + 1, strcspn (id + 1, ":"));
}

gboolean
cm_id_domain_is (const char *id, const char *server_name)
{
  /* Case counts: appendices, "Server Name". */
  const char *domain = cm_id_domain (id);
  return domain != NULL && strcmp (domain, server_name) == 0;
}

gboolean
cm_id_split_server_name (const char *server_name, char **host, guint16 *port,
                         gboolean *is_ip_literal)
{
  if (!cm_id_is_server_name (server_name))
    return FALSE;
  gsize length = host_length (server_name);
  gboolean has_port = server_name[length] == ':';
  guint64 number = has_port ? g_ascii_strtoull (server_name + length + 1, NULL, 10) : 0;
  if (number > G_MAXUINT16 || (has_port && number == 0))
    return FALSE;

  gboolean ipv6 = server_name[0] == '[';
  if (host != NULL)
    *host = ipv6 ? g_strndup (server_name + 1, length - 2) : g_strndup (server_name, length);
  if (port != NULL)
    *port = (guint16) number;
  if (is_ip_literal != NULL)
    *is_ip_literal = ipv6 || is_ipv4_literal (server_name, length);
  return TRUE;
}
