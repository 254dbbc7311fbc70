/** BASE_PATH is the path under which this page reached the instance; '' for the top of the host. */
export const BASE_PATH = document.documentElement.dataset['basePath'] ?? '';
