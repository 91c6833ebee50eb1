#include "federation/auth-rules.h"

#include "crypto/glob.h"
#include "crypto/id.h"

#include <string.h>

/* An entry that is no text matches nothing: in deny as little as in allow, as with other servers,
 * since one slip of an administrator would otherwise put a room out of reach for good. */
static gboolean
matches_any (const CmJson *list, const char *host)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *pattern = cm_json_text (item);
    if (pattern != NULL && cm_glob_match (pattern, host))
      return TRUE;
  }
  return FALSE;
}

/* @server_name as entries name it: with the brackets of an IPv6 literal, without the port. */
static char *
without_port (const char *server_name)
{
  const char *bracket = strchr (server_name, ']');
  const char *end = bracket != NULL ? bracket + 1 : strchrnul (server_name, ':');
  return g_strndup (server_name, (gsize) (end - server_name));
}

/* The numbers are those of the list in the description of m.room.server_acl. */
gboolean
cm_server_acl_allows (const CmEvent *acl, const char *server_name)
{
  gboolean is_ip_literal;

  if (acl == NULL) /* 1 */
    return TRUE;
  if (!cm_id_split_server_name (server_name, NULL, NULL, &is_ip_literal))
    return FALSE;
  if (is_ip_literal && !cm_json_get_boolean (acl->content, "allow_ip_literals", TRUE)) /* 2 */
    return FALSE;
  g_autofree char *host = without_port (server_name);
  if (matches_any (cm_json_get_array (acl->content, "deny"), host)) /* 3 */
    return FALSE;
  return matches_any (cm_json_get_array (acl->content, "allow"), host); /* 4, 5 */
}
