/* Matrix identifiers (specification appendices, "Identifier Grammar"), all at most 255 bytes.
 * A NULL text is no valid identifier, so that what cm_json_get_text () gives needs no other check.
 */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

#define CM_ID_MAX_BYTES 255

/* A server name: DNS name, IPv4 or [IPv6], with an optional port. */
gboolean cm_id_is_server_name (const char *text);
/* Any user id that may stand in an event: historical localparts (any byte but ':' and NUL, may be
 * empty) included. */
gboolean cm_id_is_user (const char *text);
/* A localpart that may be registered today: a-z 0-9 . _ = - / + and not empty. */
gboolean cm_id_is_new_localpart (const char *localpart);
/* "!opaque:server" or, from room version 12 on, "!" and 43 url-safe base64 characters. */
gboolean cm_id_is_room (const char *text);
gboolean cm_id_is_alias (const char *text);
/* "$opaque:server" or "$" and 43 characters of base64. */
gboolean cm_id_is_event (const char *text);
/* Key ids "algorithm:name", [a-zA-Z0-9_] in the name of server keys, more in device keys. */
gboolean cm_id_is_key (const char *text);
/* Opaque identifiers (media ids, device ids, transaction ids): [A-Za-z0-9._~-]{1,255} */
gboolean cm_id_is_opaque (const char *text);
/* "mxc://server/media", the parts (transfer full) into @server and @media, either nullable. */
gboolean cm_id_parse_mxc (const char *uri, char **server, char **media);

/* What follows the first colon of a user id, alias, or old room or event id; NULL when there is
 * none. Points into @id. */
const char *cm_id_domain (const char *id);
/* (transfer full) what stands between the sigil and the first colon. */
char *cm_id_localpart (const char *id);
gboolean cm_id_domain_is (const char *id, const char *server_name);
/* Splits "host[:port]" of a valid server name; @host without brackets. @port 0 when absent. */
gboolean cm_id_split_server_name (const char *server_name, char **host, guint16 *port,
                                  gboolean *is_ip_literal);

G_END_DECLS
