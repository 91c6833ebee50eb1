/* The authorization rules of room versions ("Authorization rules" in rooms/v10 to v12), each check
 * citing its number. Pure: no database. */
#pragma once

#include "federation/event.h"

G_BEGIN_DECLS

/* Gives the event at (type, state_key) of the state to judge by: borrowed, or NULL when there is
 * none. */
typedef const CmEvent *(*CmAuthLookup) (const char *type, const char *state_key, gpointer data);

/**
 * cm_auth_check: all rules but those about the list auth_events, for which see below.
 *
 * Signatures are for who has the keys: of the sender's server on any event, and of the server of
 * content.join_authorised_via_users_server (rule 5.2 of version 12, 4.2 before), which is only seen
 * to be there; so an own countersignature must be made first. Errors: CM_ERROR_FORBIDDEN with the
 * number of the rule in the message.
 */
gboolean cm_auth_check (const CmEvent *event, CmAuthLookup lookup, gpointer data, GError **error);

/* Auth events selection (server-server, "Auth events selection"): calls @func for each (type,
 * state_key) that @event of these members needs. */
typedef void (*CmAuthKeyFunc) (const char *type, const char *state_key, gpointer data);
void cm_auth_keys (const CmRoomVersion *version, const char *type, const char *sender,
                   const char *state_key, const CmJson *content, CmAuthKeyFunc func, gpointer data);

/* Rule 2 of versions 10 and 11, 3 of version 12, about the list auth_events: no duplicates, none
 * beyond the selection, none rejected, all of the same room, m.room.create among them where the
 * version wants it. @auth: those events, in any order, less what is not known. */
gboolean cm_auth_check_auth_events (const CmEvent *event, GPtrArray *auth, GError **error);

/* Power levels as numbers, defaults filled in. @power and @create nullable. */
#define CM_POWER_INFINITE G_MAXINT64
gint64 cm_power_of_user (const CmEvent *power, const CmEvent *create, const char *user_id);
/* @field: "ban", "kick", "redact", "invite", "state_default", "events_default", "users_default". */
gint64 cm_power_level (const CmEvent *power, const char *field);
gint64 cm_power_to_send (const CmEvent *power, const char *type, gboolean state);
gint64 cm_power_to_notify (const CmEvent *power, const char *notification); /* "room": default 50 */

/* m.room.server_acl ("Server Access Control Lists"): may @server_name take part? @acl nullable:
 * yes. */
gboolean cm_server_acl_allows (const CmEvent *acl, const char *server_name);

G_END_DECLS
