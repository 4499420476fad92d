/** Guest RAM where nobody says otherwise. */
export const BARE_MEMORY = '4M';
export const LINUX_MEMORY = '256M';
