/** handler-x86.S and handler-arm64.S, assembled: nothing is compiled where wcvmm is used. test/bus-error.test.ts assembles them again. */
export const HANDLER: Readonly<Partial<Record<string, string>>> = {
  x64: 'TI0V+f8AAEiLRhBBi0oITY2agAAAAIXJdBNJOwNyBkk7QwhyIUmDwxD/yevpvwcAAABJjXIoMdJBuggAAAC4DQAAAA8Fw0mJQhDwQf8CSInHSSN6GEmLciC6AwAAAE2J00G6MgAAAEnHwP////9FMcm4CQAAAA8FTI0Vgf8AAEiFwHipww==',
  arm64:
    'CQAIECoIQPkrCUC5LAECkesCADSNOcGoawUAUV8BDeuD//9UXwEO60L//1QqCQD5Lf1fiK0FABEt/Q6Irv//NS0NQPlAAQ2KIRFA+WIAgNJDBoDSBACAkgUAgNLIG4DSAQAA1EAA+LfAA1/W4ACA0iGhAJECAIDSAwGA0sgQgNIBAADUwANf1g==',
};
