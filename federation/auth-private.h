/* What the files of the authorization rules share; nobody else includes it. */
#pragma once

#include "federation/auth-rules.h"

G_BEGIN_DECLS

/* One event being judged. */
typedef struct {
  const CmEvent *event;
  const CmEvent *create; /* nullable while the rules before it run */
  const CmEvent *power;  /* nullable */
  CmAuthLookup lookup;
  gpointer data;
} CmAuth;

/* FALSE, and @error says @why and which rule. @rule: its number in rooms/v12; versions 10 and 11
 * lack rule 2 of version 12, and so count one less from there on. @part: the rest of the number
 * ("3.2"), or NULL. */
gboolean
cm_auth_deny (const CmAuth *auth, guint rule, const char *part, const char *why, GError **error);

/* "leave" for a user without membership or with one that is no text. */
const char *cm_auth_membership (const CmAuth *auth, const char *user_id);
gint64 cm_auth_power_of (const CmAuth *auth, const char *user_id);

/* Who made the room: one user, whose the first join is. */
const char *cm_auth_creator (const CmEvent *create);
/* rooms/v12, "room creators": the sender of m.room.create and the additional creators. */
gboolean cm_auth_is_creator (const CmEvent *create, const char *user_id);

/* Rule 5 (4 in versions 10 and 11). */
gboolean cm_auth_check_member (const CmAuth *auth, GError **error);
/* Rule 10 (9 in versions 10 and 11). */
gboolean cm_auth_check_power_levels (const CmAuth *auth, GError **error);

G_END_DECLS
