/* Which member events a device was shown already, so that lazy-loading repeats none. Kept in
 * memory, bounded: what is forgotten is merely sent again. An event counts as shown only to a
 * client that comes back with a token later than the answer it stood in. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CmLazyMembers CmLazyMembers;

CmLazyMembers *cm_lazy_members_new (void);
void cm_lazy_members_free (CmLazyMembers *lazy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmLazyMembers, cm_lazy_members_free)

/* @key names a device and a room. */
gboolean cm_lazy_members_knows (CmLazyMembers *lazy, const char *key, gint64 event, gint64 since);
/* @event goes out in the answer whose token has @position. */
void cm_lazy_members_show (CmLazyMembers *lazy, const char *key, gint64 event, gint64 position);
/* The device begins anew with the room. */
void cm_lazy_members_forget (CmLazyMembers *lazy, const char *key);

G_END_DECLS
