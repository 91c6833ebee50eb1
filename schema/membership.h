/* Who is or was in which room, as far as a view of the room does not say it. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* (transfer full) ids of the rooms in which @user (sym) has this membership. */
char **cm_membership_rooms (CmDb *db, gint64 user, const char *membership, GError **error);

/* (transfer full) ids of the rooms that both (syms) are joined to. */
char **cm_membership_mutual_rooms (CmDb *db, gint64 user, gint64 other, GError **error);

/* (transfer full) ids of the rooms that this node is not in and @user is invited to or knocks at.
 */
char **cm_membership_outside_rooms (CmDb *db, gint64 user, GError **error);

/* How a user of this server went out of a room. */
typedef struct {
  gint64 event; /* number of the event that ended his last time inside; 0: never was, or is there */
  gint64 position; /* of that event */
  gboolean forgotten;
} CmDeparture;

gboolean cm_membership_departure (CmDb *db, gint64 room, gint64 user, CmDeparture *departure,
                                  GError **error);

/* The user wants to hear no more of a room that he is out of. @known: whether he ever was in, or
 * was invited. */
gboolean cm_membership_forget (CmDb *db, gint64 room, gint64 user, gboolean *known, GError **error);

/* (transfer full) some user of this server who is in the room; NULL without @error when none is. */
char *cm_membership_any_local (CmDb *db, gint64 room, GError **error);

/* (transfer full) the guests of this server who are in the room or invited to it. */
char **cm_membership_guests (CmDb *db, gint64 room, GError **error);

/* Whether somebody of @server is invited to the room. */
gboolean cm_membership_server_invited (CmDb *db, gint64 room, const char *server, gboolean *invited,
                                       GError **error);

/* An invite or knock to a room that this node is not in. */
typedef struct {
  char *membership;
  GBytes *event;    /* JSON of the member event */
  GBytes *stripped; /* JSON array of stripped state */
} CmOutsideMembership;

void cm_outside_membership_free (CmOutsideMembership *outside);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmOutsideMembership, cm_outside_membership_free)

/* (transfer full) NULL without @error when there is none. */
CmOutsideMembership *
cm_outside_membership_find (CmDb *db, gint64 room, gint64 user, GError **error);

G_END_DECLS
